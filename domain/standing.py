"""Every rule of enforcement: whether an organization may send. Pure; no clock, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.subscription import BILLING, Snapshot, State


class Status(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class Block(StrEnum):
    """A reason why an organization may not send. It may send when none stands."""

    NONPAYMENT = "nonpayment"
    CANCELED = "canceled"
    DISPUTE = "dispute"
    ADMIN = "admin"
    TELEPHONY = "telephony"


IN_WORDS = {
    Block.NONPAYMENT: "the subscription is not paid",
    Block.CANCELED: "the subscription has ended",
    Block.DISPUTE: "a payment is disputed or was taken back",
    Block.ADMIN: "an operator suspended the organization",
    Block.TELEPHONY: "Twilio holds the subaccount suspended or closed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`grace` is how long a past-due subscription keeps sending, from the first failed payment."""

    grace: timedelta = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What should hold now. At `deadline`, if one is set, the same facts will suspend."""

    status: Status
    blocks: frozenset[Block] = frozenset()
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The outcome at rest. `epoch` counts changes of mind; the world agrees once `applied_epoch` has caught up."""

    organization_id: str
    status: Status
    blocks: frozenset[Block] = frozenset()
    epoch: int = 0
    applied_epoch: int = 0
    deadline: datetime | None = None

    @property
    def behind(self) -> bool:
        return self.applied_epoch != self.epoch


def decide(
    snapshot: Snapshot, past_due_since: datetime | None, held: Iterable[Block], policy: Policy, now: datetime
) -> Decision:
    """Whether the organization may send, from its current subscription and the blocks that stand by themselves.

    `snapshot.access_until` is the paid-through time on record; `past_due_since` when the first payment failed.
    """
    blocks = set(held)
    deadline: datetime | None = None
    match snapshot.state:
        case State.SUSPENDED_NONPAYMENT | State.PAUSED:
            blocks.add(Block.NONPAYMENT)
        case State.PAST_DUE:
            deadline = (past_due_since or now) + policy.grace
            if now >= deadline:
                blocks.add(Block.NONPAYMENT)
        case State.CANCELED | State.EXPIRED:
            deadline = snapshot.access_until  # what was paid for is still owed to the customer
            if deadline is None or now >= deadline:
                blocks.add(Block.CANCELED)
        case State.ACTIVE | State.TRIALING | State.PENDING:
            pass
        case State.NONE | State.UNKNOWN:
            pass  # absence of data must never cut off a paying customer
    if blocks:
        return Decision(status=Status.SUSPENDED, blocks=frozenset(blocks))
    return Decision(status=Status.ACTIVE, deadline=deadline)


def nobody_bills(standing: Standing, states: Iterable[State]) -> bool:
    """Whether it is served and nobody charges for it, though somebody did: no grace runs, and nothing paid for is left.

    A checkout that was never completed has not begun to bill; an organization that has nothing else is the host's own.
    """
    begun = set(states) - {State.NONE, State.PENDING}
    served = standing.status is Status.ACTIVE and standing.deadline is None
    return served and bool(begun) and not begun & BILLING
