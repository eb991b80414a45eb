"""A campaign's states, and the possible results of a batch."""

from dataclasses import dataclass
from enum import StrEnum

from domain.wallet.ledger import Wallet

LONGEST_BODY = 1600


class CampaignStatus(StrEnum):
    """`PARKED` was stopped by Tollgate and resumes automatically; `PAUSED` by a person, and only a
    person resumes it.

    `SCHEDULED` begins automatically at its time; `CANCELED` never resumes.
    """

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PARKED = "parked"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Act(StrEnum):
    """What changes a campaign's status. The first five are acts of a person, the others of
    Tollgate.

    `BEGIN`: its time has come. `GO_ON`: the cause of its park has passed. `REOPEN`: a message of a
    completed campaign is pending again.
    """

    START = "start"
    SCHEDULE = "schedule"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    BEGIN = "begin"
    PARK = "park"
    GO_ON = "go_on"
    COMPLETE = "complete"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActFacts:
    """What a transition depends on besides the status: whether the campaign's scheduled time is
    still to come, and whether its organization may not send.
    """

    begins_later: bool = False
    may_not_send: bool = False


NO_FACTS = ActFacts()


class NoChange(StrEnum):
    """`DONE_BEFORE`: the act succeeds without a change; `REFUSED`: it is not possible."""

    DONE_BEFORE = "done_before"
    REFUSED = "refused"


def transition(
    status: CampaignStatus, act: Act, facts: ActFacts = NO_FACTS
) -> CampaignStatus | NoChange:
    """The status that a campaign has after an act: the only rule by which it changes."""
    to = _TARGET[act]
    if act is Act.RESUME and status is CampaignStatus.PAUSED and facts.begins_later:
        to = CampaignStatus.SCHEDULED
    if act is Act.REOPEN and facts.may_not_send:
        to = CampaignStatus.PARKED
    if status in _FROM[act]:
        return to
    return NoChange.DONE_BEFORE if status in _DONE_BEFORE.get(act, ()) else NoChange.REFUSED


_S = CampaignStatus
_TARGET = {
    Act.START: _S.RUNNING,
    Act.SCHEDULE: _S.SCHEDULED,
    Act.PAUSE: _S.PAUSED,
    Act.RESUME: _S.RUNNING,
    Act.CANCEL: _S.CANCELED,
    Act.BEGIN: _S.RUNNING,
    Act.PARK: _S.PARKED,
    Act.GO_ON: _S.RUNNING,
    Act.COMPLETE: _S.COMPLETED,
    Act.REOPEN: _S.RUNNING,
}
_FROM = {
    Act.START: {_S.DRAFT, _S.SCHEDULED},
    Act.SCHEDULE: {_S.DRAFT, _S.SCHEDULED},
    Act.PAUSE: {_S.SCHEDULED, _S.RUNNING, _S.PARKED},
    Act.RESUME: {_S.PAUSED, _S.PARKED},
    Act.CANCEL: {_S.DRAFT, _S.SCHEDULED, _S.RUNNING, _S.PARKED, _S.PAUSED},
    Act.BEGIN: {_S.SCHEDULED},
    Act.PARK: {_S.SCHEDULED, _S.RUNNING, _S.PARKED},
    Act.GO_ON: {_S.PARKED},
    Act.COMPLETE: {_S.RUNNING},
    Act.REOPEN: {_S.COMPLETED},
}
_DONE_BEFORE = {
    Act.START: {_S.RUNNING, _S.PARKED, _S.COMPLETED},
    Act.PAUSE: {_S.PAUSED},
    Act.RESUME: {_S.RUNNING, _S.SCHEDULED},
    Act.CANCEL: {_S.CANCELED},
}
"""A started campaign may have been parked or have ended since."""


class MessageStatus(StrEnum):
    """`RESERVED` is paid for, not yet handed over; `SENDING` is being handed over; `UNKNOWN` may
    have been accepted by Twilio.

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
    """Why Tollgate stopped a campaign; the `..._REFUSED` are Twilio's refusals, by their subject.

    `SENDER_COSTS_MORE`: its messaging service may send what the customer does not pay for.
    `RECOVERY`: the database may have been restored; only a person resumes it.
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
    SENDER_COSTS_MORE = "sender_costs_more"
    RECOVERY = "recovery"


PASSES_BY_ITSELF = frozenset({Park.SUSPENDED, Park.FROZEN, Park.INSUFFICIENT_FUNDS})
"""A campaign parked for one of these resumes as soon as its wallet can pay again."""
OUTRANKS = {
    Park.RECOVERY: PASSES_BY_ITSELF,
    Park.SUSPENDED: frozenset({Park.FROZEN, Park.INSUFFICIENT_FUNDS}),
    Park.FROZEN: frozenset({Park.INSUFFICIENT_FUNDS}),
}
"""If several apply, the first in the order of `kept_by` is shown; when it passes, the next one is.
"""


def kept_by(wallet: Wallet) -> Park | None:
    """What keeps every campaign of a wallet from sending: the fence, the gate, a freeze or an
    empty balance. None: nothing.

    The only rule by which campaigns are parked and resumed.
    """
    if wallet.fenced:
        return Park.RECOVERY
    if not wallet.gate_open:
        return Park.SUSPENDED
    if wallet.frozen:
        return Park.FROZEN
    return Park.INSUFFICIENT_FUNDS if wallet.available_micros <= 0 else None


class Next(StrEnum):
    """The next action of a campaign's run."""

    SEND = "send"
    WAIT_FOR_UNKNOWN = "wait_for_unknown"
    STOP = "stop"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The result of a reservation. `position` is the first message not yet sent, counted from 1.

    `per_second` is its recent rate, `pace` the most that it may reach; `begins_in` are the seconds
    until the next check. `reason` is why it does not continue, `detail` the same in words;
    `unconfirmed` messages may or may not have been accepted by Twilio. `stays_paid`: reserved
    messages are not refunded while it waits.
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
    pace: int | None = None
