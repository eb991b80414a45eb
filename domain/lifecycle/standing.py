"""Every rule of enforcement: whether an organization may send. Pure; no clock, no I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.billing.subscription import BILLING, ENDED, Provider, Record, State, Word


class Status(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class Block(StrEnum):
    """A reason why an organization may not send. It may send if there is none."""

    NONPAYMENT = "nonpayment"
    CANCELED = "canceled"
    DISPUTE = "dispute"
    FUNDS = "funds"
    ADMIN = "admin"
    TELEPHONY = "telephony"


IN_WORDS = {
    Block.NONPAYMENT: "the subscription is not paid",
    Block.CANCELED: "the subscription has ended",
    Block.DISPUTE: "a payment is disputed or was reversed",
    Block.FUNDS: "the wallet is empty, or could not pay what the carrier charged",
    Block.ADMIN: "an operator suspended the organization",
    Block.TELEPHONY: "Twilio suspended or closed the subaccount",
}


def in_words(block: Block) -> str:
    """A newer version may have blocks that this one does not know: they shut the gate, too."""
    return IN_WORDS.get(block, f"a newer version of Tollgate blocks it: {block.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`grace` is how long sending continues after the first failed and unpaid payment."""

    grace: timedelta = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The intended standing. At `deadline`, if set, the same facts will suspend."""

    status: Status
    blocks: frozenset[Block] = frozenset()
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The recorded outcome. `epoch` counts the changes of the decision; `applied_epoch` is the last
    one that was applied everywhere. `ask_again`: the provider's answer contradicts what shut the
    gate, and is not accepted until it is repeated. `provider` is the current subscription's, where
    somebody looked.
    """

    organization_id: str
    status: Status
    blocks: frozenset[Block] = frozenset()
    epoch: int = 0
    applied_epoch: int = 0
    deadline: datetime | None = None
    ask_again: bool = False
    provider: Provider | None = None

    @property
    def behind(self) -> bool:
        return self.applied_epoch != self.epoch


def decide(
    record: Record, active_blocks: Iterable[Block], policy: Policy, now: datetime
) -> Decision:
    """Whether the organization may send, given its current subscription and the blocks that do not
    depend on it.
    """
    blocks = set(active_blocks)
    deadlines: list[datetime] = []
    for block, at in _reasons(record, policy, now):
        if at is None or now >= at:
            blocks.add(block)
        else:
            deadlines.append(at)
    if blocks:
        return Decision(status=Status.SUSPENDED, blocks=frozenset(blocks))
    return Decision(status=Status.ACTIVE, deadline=min(deadlines, default=None))


def _reasons(
    record: Record, policy: Policy, now: datetime
) -> Iterator[tuple[Block, datetime | None]]:
    """Each block that follows from the subscription, and the time when it begins; None: now."""
    match record.state:
        case State.SUSPENDED_NONPAYMENT | State.PAUSED:
            yield Block.NONPAYMENT, None
        case State.PAST_DUE:
            if record.debt is None:
                yield Block.NONPAYMENT, now + policy.grace
        case State.CANCELED | State.EXPIRED:
            # the customer is still entitled to the paid period, and to no more
            yield (
                Block.CANCELED,
                record.paid_until,
            )
        case State.ACTIVE | State.TRIALING | State.PENDING:
            pass
        case State.NONE | State.UNKNOWN:
            pass  # missing data must never cut off a paying customer
    if record.debt is not None:  # whatever the status: it changes without a payment
        yield Block.NONPAYMENT, None if record.debt.shut else record.debt.since + policy.grace
    if record.word is not None:
        yield (
            Block.CANCELED if record.word.state in ENDED else Block.NONPAYMENT,
            _until(record.word, policy),
        )


def _until(word: Word, policy: Policy) -> datetime | None:
    """The current grace period for a failed payment; an operator may have changed it since the
    webhook.
    """
    return (
        word.since + policy.grace
        if word.state is State.PAST_DUE and word.since is not None
        else word.until
    )


def opens(before: Record, after: Record, policy: Policy, now: datetime) -> bool:
    """Whether `after` permits sending that `before` does not, or for longer, apart from other
    blocks.
    """
    was, would = decide(before, (), policy, now), decide(after, (), policy, now)
    if was.status is Status.SUSPENDED or would.status is Status.SUSPENDED:
        return would.status is Status.ACTIVE
    return was.deadline is not None and (would.deadline is None or would.deadline > was.deadline)


def nobody_bills(standing: Standing, states: Iterable[State]) -> bool:
    """Whether an organization may send although nobody charges for it any more: no grace period
    runs, and no paid time is left.

    A checkout that was never completed has not begun to bill; an organization without a
    subscription belongs to the host itself.
    """
    begun = set(states) - {State.NONE, State.PENDING}
    served = standing.status is Status.ACTIVE and standing.deadline is None
    return served and bool(begun) and not begun & BILLING
