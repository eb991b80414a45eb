"""What the telephony side can answer, in words of ours."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.money import Money

CLOCKS_DIFFER = timedelta(seconds=5)
"""So much earlier than by our clock Twilio may have created a message by its own, which tells whole
seconds.
"""


class AccountStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A subaccount as a GET with the parent's credentials told it."""

    sid: str
    status: AccountStatus
    auth_token: str
    friendly_name: str = ""
    owner_sid: str | None = None

    def __repr__(self) -> str:
        return f"Account(sid={self.sid!r}, status={self.status.value!r})"  # the token stays out of logs


class DeliveryStatus(StrEnum):
    """Twilio's message statuses, as far as an outbound message can have them."""

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
"""Nothing comes after these, but `READ` after `DELIVERED`."""
ARRIVED = frozenset({DeliveryStatus.DELIVERED, DeliveryStatus.READ})
WENT_OUT = ARRIVED | {DeliveryStatus.SENT, DeliveryStatus.UNDELIVERED}
"""What only a message can be that a carrier was given; but some that are undelivered never left, by
their code.
"""


def rank(status: DeliveryStatus) -> int:
    """A callback moves a message only to a higher rank: terminal statuses win, whatever order they
    come in.
    """
    return _RANK[status]


def exclude_each_other(status: DeliveryStatus | None, other: DeliveryStatus | None) -> bool:
    """Whether a message cannot have ended both ways."""
    ends = {status, other}
    return len(ends) == 2 and ends <= TERMINAL and not ends <= ARRIVED


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundMessage:
    """One POST to Twilio. `status_callback` carries our attempt id; `sender` is a From number or an
    MG… service sid.
    """

    account_sid: str
    sender: str
    to: str
    body: str
    status_callback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    sid: str
    status: DeliveryStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Twilio said no and charged nothing. `account_suspended`: it was the account, not the
    message.
    """

    code: int
    message: str
    account_suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotProcessed:
    """Certainly not taken (429, or never connected): safe to send again, after `retry_after`
    seconds if it is told.

    `code` is Twilio's. `unreachable`: never connected. `refused_us`: our own credentials are wrong.
    """

    reason: str
    retry_after: float | None = None
    code: int | None = None
    unreachable: bool = False
    refused_us: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Timeout, reset or 5xx: it may have been taken. Never to be sent again by itself."""

    reason: str


SendOutcome = Accepted | Refused | NotProcessed | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message as Twilio lists it. `price` is what Twilio charged us (positive), None until it is
    known.

    `body` is empty and `to` is masked (`+1415555XXXX`) where they were redacted.
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

    def may_be_to(self, recipient: str) -> bool:
        """Whether it was sent to this E.164 number, as far as the digits that are left of `to`
        tell.
        """
        listed = self.to.rpartition(":")[2].strip()
        digits = re.match(r"\+?([0-9]*)", listed)
        assert digits is not None  # it matches the empty text, too
        whole = digits.end() == len(listed) and digits[1] != ""
        return recipient == f"+{digits[1]}" if whole else recipient.startswith(f"+{digits[1]}")

    @property
    def newest(self) -> datetime | None:
        """By which Twilio's lists are sorted: when it was sent, or was created if it was not sent
        yet.
        """
        return self.sent_at or self.created_at


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSince:
    """Messages created since a time. `complete`: there are no others, else the list was too long to
    be read.
    """

    messages: tuple[SentMessage, ...]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """Part of a list of messages; `next` is what to ask for the following part with, None for the
    last.
    """

    messages: tuple[SentMessage, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCallback:
    """A verified status callback. `attempt_id` comes from the URL that we gave with the message."""

    account_sid: str
    message_sid: str
    status: DeliveryStatus | None
    error_code: int | None = None
    attempt_id: str | None = None
