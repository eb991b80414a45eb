"""A subscription as the provider last told it, in neutral words; decides which of two tellings is
the newer.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.money import Money


class Provider(StrEnum):
    PAYPAL = "paypal"
    STRIPE = "stripe"


class State(StrEnum):
    """What a subscription is, whoever bills it. `NONE` is: nobody has told us yet."""

    NONE = "none"
    PENDING = "pending"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    SUSPENDED_NONPAYMENT = "suspended_nonpayment"
    PAUSED = "paused"
    CANCELED = "canceled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


PAID = frozenset({State.ACTIVE, State.TRIALING})
BILLING = PAID | {State.PAST_DUE}
LAPSED = frozenset({State.SUSPENDED_NONPAYMENT, State.PAUSED, State.CANCELED, State.EXPIRED})
ENDED = frozenset({State.CANCELED, State.EXPIRED})
OWING = frozenset({State.PAST_DUE, State.SUSPENDED_NONPAYMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A subscription's state at one provider.

    `as_of` is the newest of the provider's own times in the object (aware, UTC), None where it gave
    none. `access_until` is when the provider will charge next, paid or not. `paid_until` is the end
    of the time that was paid for by the payment of `paid_at`, or of the trial that was agreed on,
    as far as the answer tells; `paid_from` is when that period began. `reckoned`: its end is not
    the provider's word, but follows from the plan as it is now. `owes`: a payment of the customer's
    failed and is not paid (`failed_at`: the newest of them). False is evidence that nothing is
    owed, None that the answer does not say. `custom_id` is what the host application wrote into the
    subscription: our organization's id. `subscription_id` is set where the provider names the
    subscription otherwise than it was asked for: a checkout that the customer has completed.
    `cancels`: it bills no further period, though the one that runs is not over. `note` is the
    reason that the provider was given for its last change.
    """

    state: State
    raw_status: str = ""
    as_of: datetime | None = None
    access_until: datetime | None = None
    paid_until: datetime | None = None
    paid_from: datetime | None = None
    reckoned: bool = False
    paid_at: datetime | None = None
    owes: bool | None = None
    failed_at: datetime | None = None
    outstanding: Money | None = None
    failed_payments: int = 0
    custom_id: str | None = None
    subscription_id: str | None = None
    cancels: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """A payment of the subscription failed and is unpaid; `since` is when the first one did.

    `shut`: the provider suspended the subscription for it. It stays, whatever the status, until it
    is paid or forgiven.
    """

    since: datetime
    shut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What verified webhooks told of a subscription and no answer of its provider has confirmed: it
    may only close.

    `as_of` is the provider's time of the newest, `since` of the first failed payment among them.
    `until` is when it suspends, None: at once.
    """

    state: State
    as_of: datetime | None
    until: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that a decision is made from: confirmed by the provider's own answers, but for the
    `word`.

    `paid_until` is the end of the time that was really paid for.
    """

    state: State = State.NONE
    debt: Debt | None = None
    paid_until: datetime | None = None
    word: Word | None = None


def add_word(before: Word | None, word: Word) -> Word:
    """Both count until the provider answers: what suspends earlier, so that no word takes another
    one back.
    """
    if before is None:
        return word
    at_once = before.until is None or (word.until is not None and before.until <= word.until)
    times = [at for at in (before.as_of, word.as_of) if at is not None]
    first = [at for at in (before.since, word.since) if at is not None]
    return replace(
        before if at_once else word, as_of=max(times, default=None), since=min(first, default=None)
    )


def debt_after(
    before: Debt | None, answer: Snapshot, *, word: Word | None, now: datetime
) -> Debt | None:
    """The debt that stands after the provider's answer `answer`, which counts; `word` is what it
    confirms or outdates.

    Only evidence of a payment or of forgiveness clears it, never a status alone. An ended
    subscription shows no zero that means something: there only a payment after the failure counts.
    """
    if answer.owes:
        began = [answer.failed_at or answer.as_of or now] if before is None else [before.since]
        began += [word.since] if word is not None and word.since is not None else []
        shut = answer.state is State.SUSPENDED_NONPAYMENT or (
            word is not None and word.state is State.SUSPENDED_NONPAYMENT
        )
        return Debt(since=min(*began, now), shut=shut or (before is not None and before.shut))
    if before is None or answer.owes is None:
        return before
    paid = answer.paid_at is not None and answer.paid_at > before.since
    return before if answer.state in ENDED and not paid else None


def paid_until_after(before: Snapshot, answer: Snapshot) -> datetime | None:
    """The end of the time that was paid for, after the provider's answer `answer`, which counts.

    The same payment lasts no longer because the subscription is not in order any more, and no
    shorter because its plan became another one.
    """
    if answer.paid_until is None:
        return before.paid_until
    if before.paid_until is None or answer.paid_at is None or answer.paid_at != before.paid_at:
        return answer.paid_until
    if answer.reckoned:
        return (
            max(before.paid_until, answer.paid_until) if answer.state in PAID else before.paid_until
        )
    if answer.state in PAID:
        return answer.paid_until
    return min(before.paid_until, answer.paid_until)


class Order(StrEnum):
    NEWER = "newer"
    OLDER = "older"
    UNCLEAR = "unclear"


def order(first: datetime | None, second: datetime | None) -> Order:
    """Whether what is told at `first` is newer than what is known as of `second`.

    Equal or missing times say nothing: providers' clocks tick in whole seconds.
    """
    if first is None or second is None or first == second:
        return Order.UNCLEAR
    return Order.NEWER if first > second else Order.OLDER


SAME_PAYMENT = timedelta(hours=1)
"""So far apart a subscription and its payment may tell the time of one payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`snapshot` is the provider's own newest answer that counts, from `confirmed_at`; None while
    it was never asked.

    `word` is what only webhooks have told since. `doubted_at` is when an answer first contradicted
    what has shut it and was not believed at once. `paid_back_at` is the time of its newest payment,
    where what paid for the period is paid back.
    """

    organization_id: str
    provider: Provider
    id: str
    is_current: bool
    snapshot: Snapshot
    debt: Debt | None
    word: Word | None
    doubted_at: datetime | None
    confirmed_at: datetime | None
    alert: str | None
    checkout_url: str | None
    checkout_plan_id: str | None = None
    paid_back_at: datetime | None = None

    @property
    def record(self) -> Record:
        """What a decision is made from. A period is not paid for if what paid for it was paid
        back.
        """
        paid_until, paid_at, back_at = (
            self.snapshot.paid_until,
            self.snapshot.paid_at,
            self.paid_back_at,
        )
        if (
            paid_until is not None
            and back_at is not None
            and (paid_at is None or paid_at <= back_at + SAME_PAYMENT)
        ):
            paid_until = min(paid_until, back_at)
        return Record(
            state=self.snapshot.state, debt=self.debt, paid_until=paid_until, word=self.word
        )


def confirmed(
    subscription: Subscription, answer: Snapshot, *, word: Word | None, now: datetime
) -> Subscription:
    """The subscription as it stands if the provider's answer `answer` counts, which confirms or
    outdates the `word`.
    """
    before = subscription.snapshot
    paid_until = paid_until_after(before, answer)
    lasts = before if paid_until == before.paid_until else answer
    kept = replace(
        answer,
        as_of=answer.as_of or before.as_of,
        access_until=answer.access_until or before.access_until,
        paid_until=paid_until,
        paid_from=lasts.paid_from
        or (answer.paid_from if paid_until == answer.paid_until else None),
        paid_at=answer.paid_at or before.paid_at,
    )
    debt = debt_after(subscription.debt, answer, word=word, now=now)
    return replace(
        subscription,
        snapshot=kept,
        debt=debt,
        word=None,
        doubted_at=None,
        confirmed_at=now,
        alert=None,
    )
