"""The possible answers of the telephony provider, in our own terms."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.campaigns import validity
from domain.money import Money

ACCOUNT_SID = "AC[0-9a-fA-F]{32}"
"""The pattern of an account's id."""
CLOCKS_DIFFER = timedelta(seconds=5)
"""The largest difference of Twilio's clock: it may date a message this much before our clock, in
whole seconds.
"""


class AccountStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A subaccount as returned by a GET with the parent's credentials."""

    sid: str
    status: AccountStatus
    auth_token: str
    friendly_name: str = ""
    owner_sid: str | None = None

    def __repr__(self) -> str:
        return f"Account(sid={self.sid!r}, status={self.status.value!r})"  # the token stays out of logs


class DeliveryStatus(StrEnum):
    """The statuses that an outbound Twilio message can have."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    CANCELED = "canceled"


_RANK = {
    DeliveryStatus.SCHEDULED: 0,
    DeliveryStatus.ACCEPTED: 1,
    DeliveryStatus.QUEUED: 2,
    DeliveryStatus.SENDING: 3,
    DeliveryStatus.SENT: 4,
    DeliveryStatus.CANCELED: 5,
    DeliveryStatus.FAILED: 5,
    DeliveryStatus.UNDELIVERED: 5,
    DeliveryStatus.DELIVERED: 5,
    DeliveryStatus.READ: 6,
}
TERMINAL = frozenset(
    {
        DeliveryStatus.CANCELED,
        DeliveryStatus.FAILED,
        DeliveryStatus.UNDELIVERED,
        DeliveryStatus.DELIVERED,
        DeliveryStatus.READ,
    }
)
"""Final statuses; only `READ` may still follow `DELIVERED`."""
ARRIVED = frozenset({DeliveryStatus.DELIVERED, DeliveryStatus.READ})
WENT_OUT = ARRIVED | {DeliveryStatus.SENT, DeliveryStatus.UNDELIVERED}
"""Statuses that only a message handed to a carrier can have; some undelivered messages never left,
as their code shows.
"""


def rank(status: DeliveryStatus) -> int:
    """A callback moves a message to a higher rank only: terminal statuses win, in whatever order
    callbacks arrive.
    """
    return _RANK[status]


def exclude_each_other(status: DeliveryStatus | None, other: DeliveryStatus | None) -> bool:
    """Whether the two statuses are contradictory ends of a message."""
    ends = {status, other}
    return len(ends) == 2 and ends <= TERMINAL and not ends <= ARRIVED


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundMessage:
    """One POST to Twilio. `status_callback` carries our attempt id; `sender` is a From number or
    the sid of a messaging service (MG…). After `validity_seconds` Twilio no longer sends it.
    """

    account_sid: str
    sender: str
    to: str
    body: str
    status_callback: str
    validity_seconds: int = int(validity.DEFAULT.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    sid: str
    status: DeliveryStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Twilio refused the message and charged nothing. `account_suspended`: the account was the
    reason, not the message.
    """

    code: int
    message: str
    account_suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotProcessed:
    """Certainly not accepted (429, or never connected): safe to send again, after `retry_after`
    seconds if given.

    `code` is Twilio's. `unreachable`: never connected. `refused_us`: our own credentials are wrong.
    """

    reason: str
    retry_after: float | None = None
    code: int | None = None
    unreachable: bool = False
    refused_us: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Timeout, reset or 5xx: Twilio may have accepted it. Never sent again automatically."""

    reason: str


SendOutcome = Accepted | Refused | NotProcessed | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message as Twilio lists it. `price` is what Twilio charged us (positive), None until known.

    `body` is empty and `to` is masked (`+1415555XXXX`) if they were redacted.
    """

    sid: str
    account_sid: str
    to: str
    body: str
    status: DeliveryStatus | None
    error_code: int | None = None
    price: Money | None = None
    segments: int | None = None
    created_at: datetime | None = None
    sent_at: datetime | None = None
    senders: tuple[str, ...] = ()
    outbound: bool = True
    media: int = 0

    def may_be_to(self, recipient: str) -> bool:
        """Whether it may have been sent to this E.164 number, judging by the digits that `to` still
        shows.
        """
        listed = self.to.rpartition(":")[2].strip()
        digits = re.match(r"\+?([0-9]*)", listed)
        assert digits is not None  # it also matches the empty text
        whole = digits.end() == len(listed) and digits[1] != ""
        return recipient == f"+{digits[1]}" if whole else recipient.startswith(f"+{digits[1]}")

    @property
    def newest(self) -> datetime | None:
        """The sort key of Twilio's lists: the time of sending, or of creation if not sent yet."""
        return self.sent_at or self.created_at


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSince:
    """Messages created since a time. `complete` is false if the list was too long to be read."""

    messages: tuple[SentMessage, ...]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """One page of a list of messages; `next` is the cursor of the following page, None for the
    last.
    """

    messages: tuple[SentMessage, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage:
    """The same of a list of accounts; those whose status is unknown to us are left out."""

    accounts: tuple[Account, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCallback:
    """A verified status callback. `attempt_id` comes from the callback URL that we passed with the
    message.
    """

    account_sid: str
    message_sid: str
    status: DeliveryStatus | None
    error_code: int | None = None
    attempt_id: str | None = None
