"""Messages of a subaccount that Tollgate did not hand over: which listed messages are foreign, and
what is kept of them.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from domain.campaigns.telephony import CLOCKS_DIFFER, DeliveryStatus, SentMessage
from domain.money import Money
from domain.redaction import redact_text

_BARE = re.compile(r"(?<!\d)(\d{3})\d{2,9}(\d{2})(?!\d)")
"""A number without a plus; short codes have six digits at most."""


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Known(StrEnum):
    """What a listed message is."""

    OURS = "ours"
    FOREIGN = "foreign"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A message of ours that has the Twilio sid; `confirmed` by Twilio, not only by a callback."""

    recipient: str
    sending_at: datetime | None
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A message of ours that was handed over, and whose sid is not known yet."""

    id: UUID
    recipient: str
    sending_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """`number` is the other party's, masked; the text is not kept. `price` is Twilio's, None until
    it is known; `listed` is false if only a callback named it, which may be forged.
    """

    message_sid: str
    direction: Direction
    channel: str
    number: str
    happened_at: datetime | None
    segments: int | None = None
    status: str | None = None
    price: Money | None = None
    listed: bool = True


def judge(sent: SentMessage, named: Named | None, waiting: Collection[Open]) -> Known:
    """What a message in Twilio's list is. One that could be a message of ours whose answer is
    missing stays undecided until that one is settled: nobody pays for a message twice.
    """
    if not sent.outbound:
        return Known.FOREIGN
    if named is not None:
        # whoever holds the token could have a callback claim a message of ours for a foreign one
        fits = named.confirmed or _fits(sent, named.recipient, named.sending_at)
        return Known.OURS if fits else Known.FOREIGN
    if any(_fits(sent, each.recipient, each.sending_at) for each in waiting):
        return Known.UNDECIDED
    return Known.FOREIGN


def _fits(sent: SentMessage, recipient: str, sending_at: datetime | None) -> bool:
    if sending_at is None or not sent.may_be_to(recipient):
        return False
    return sent.created_at is None or sent.created_at >= sending_at - CLOCKS_DIFFER


def kept(sent: SentMessage) -> Foreign:
    return Foreign(
        message_sid=sent.sid,
        direction=Direction.OUTBOUND if sent.outbound else Direction.INBOUND,
        channel=channel(sent),
        number=masked(sent.to if sent.outbound else next(iter(sent.senders), "")),
        happened_at=sent.newest,
        segments=sent.segments,
        status=DeliveryStatus(sent.status).value if sent.status else None,
        price=sent.price,
    )


def channel(sent: SentMessage) -> str:
    """How it went: Twilio bills each channel in categories of its own."""
    ends = (sent.to, *sent.senders)
    for prefix in ("rcs", "whatsapp", "messenger"):
        if any(end.startswith(f"{prefix}:") for end in ends):
            return prefix
    return "mms" if sent.media else "sms"


def masked(number: str) -> str:
    """The beginning and the end of a number; a short code or a name is no person's number."""
    return _BARE.sub(r"\1***\2", redact_text(number))


NEWEST = timedelta(minutes=5)
"""How far a list is read again behind the end of the last reading: a message may appear late."""
LONGEST_BACK = timedelta(days=3)
FIRST_BACK = timedelta(hours=1)


def read_from(read_until: datetime | None, created_at: datetime | None, now: datetime) -> datetime:
    """From when on a list is read. Of an organization that was never read, what happened since its
    creation, and at most within the last hour: an upgrade charges nobody for the past.
    """
    if read_until is None:
        return max(now - FIRST_BACK, created_at or now - FIRST_BACK)
    return max(read_until - NEWEST, now - LONGEST_BACK)
