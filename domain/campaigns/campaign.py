"""A campaign's states, and what a batch of it can come to."""

from dataclasses import dataclass
from enum import StrEnum

from domain.campaigns.segments import count_segments
from domain.money import Money
from domain.wallet.ledger import Wallet

LONGEST_BODY = 1600


class CampaignStatus(StrEnum):
    """`PARKED` was stopped by Tollgate and goes on by itself; `PAUSED` by a person, and only a
    person resumes it.

    `SCHEDULED` begins by itself at its time; `CANCELED` never goes on.
    """

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PARKED = "parked"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELED = "canceled"


class MessageStatus(StrEnum):
    """`RESERVED` is paid for, not yet handed over; `SENDING` is being handed over; `UNKNOWN` may
    have been taken.

    `SKIPPED` was neither paid for nor sent: its recipient has opted out.
    """

    PENDING = "pending"
    RESERVED = "reserved"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    LOST = "lost"
    SKIPPED = "skipped"


class Park(StrEnum):
    """Why Tollgate stopped a campaign; the `..._REFUSED` are Twilio's refusals, by what they were
    about.
    """

    SUSPENDED = "suspended"
    FROZEN = "frozen"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    SENDER_REFUSED = "sender_refused"
    ACCOUNT_REFUSED = "account_refused"
    CONTENT_REFUSED = "content_refused"
    REQUEST_REFUSED = "request_refused"
    DESTINATION_REFUSED = "destination_refused"
    REFUSED = "refused"


PASSES_BY_ITSELF = frozenset({Park.SUSPENDED, Park.FROZEN, Park.INSUFFICIENT_FUNDS})
"""Parked for one of these, a campaign goes on as soon as its wallet pays again."""


OUTRANKS = {
    Park.SUSPENDED: frozenset({Park.FROZEN, Park.INSUFFICIENT_FUNDS}),
    Park.FROZEN: frozenset({Park.INSUFFICIENT_FUNDS}),
}
"""Of several that hold, this one is told, in the order of `kept_by`; when it passes, the others
are.
"""


def kept_by(wallet: Wallet) -> Park | None:
    """What keeps every campaign of a wallet from sending: the gate, a freeze or an empty balance;
    None: nothing does.

    The only rule by which campaigns are parked and resumed.
    """
    if not wallet.gate_open:
        return Park.SUSPENDED
    if wallet.frozen:
        return Park.FROZEN
    return Park.INSUFFICIENT_FUNDS if wallet.available_micros <= 0 else None


class Next(StrEnum):
    """What a campaign's run does next."""

    SEND = "send"
    WAIT_FOR_UNKNOWN = "wait_for_unknown"
    STOP = "stop"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a reservation came to. `position` is the first message not yet sent, counted from 1.

    `per_second` is how fast it went lately; `begins_in` are the seconds until it is looked at
    again. `reason` is why it does not go on, `detail` the same in words; of `unconfirmed` messages
    nobody knows whether Twilio took them. `stays_paid`: what is reserved is not refunded while it
    waits.
    """

    next: Next
    reserved: int = 0
    position: int | None = None
    total: int = 0
    status: str = ""
    reason: str = ""
    per_second: float = 0.0
    begins_in: float | None = None
    detail: str = ""
    unconfirmed: int = 0
    stays_paid: bool = False


def price(body: str, per_segment: Money) -> tuple[int, Money]:
    """Segments of a message and what it costs the customer: known exactly before it is sent."""
    segments = count_segments(body).count
    return segments, Money(segments * per_segment.micros, per_segment.currency)
