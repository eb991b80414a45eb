"""A subscription as its provider last reported it, in provider-neutral form; decides which of two
reports is newer.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.money import Money


class Provider(StrEnum):
    PAYPAL = "paypal"
    STRIPE = "stripe"


class State(StrEnum):
    """The state of a subscription at any provider. `NONE`: no provider has reported one yet."""

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
    """The state of a subscription at one provider.

    `as_of` is the newest provider time in the object (aware, UTC), None if it has none.
    `access_until` is when the provider charges next, paid or not. `paid_until` is the end of the
    period that the payment of `paid_at` covers, or of the agreed trial, as far as the answer shows;
    `paid_from` is its begin. `reckoned`: the end was computed from the current plan and not stated
    by the provider. `owes`: a payment failed and is unpaid (`failed_at`: the newest failure). False
    proves that nothing is owed; None means that the answer does not say. `custom_id` is the
    organization id that the host application wrote into the subscription. `subscription_id` is set
    if the provider names the subscription differently than the request did: a checkout that the
    customer has completed. `cancels`: no further period is billed, although the current one is not
    over. `note` is the reason given to the provider for its last change.
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
    """A payment of the subscription failed and is unpaid; `since` is the first failure.

    `shut`: the provider suspended the subscription for it. A debt lasts, whatever the status, until
    it is paid or forgiven.
    """

    since: datetime
    shut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What verified webhooks reported about a subscription and no provider answer has confirmed
    yet. It may only close.

    `as_of` is the provider time of the newest report, `since` that of the first failed payment.
    `until` is when it suspends; None: at once.
    """

    state: State
    as_of: datetime | None
    until: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The input of a decision: confirmed by the provider's own answers, except `word`.

    `paid_until` is the end of the period that was really paid.
    """

    state: State = State.NONE
    debt: Debt | None = None
    paid_until: datetime | None = None
    word: Word | None = None


def add_word(before: Word | None, word: Word) -> Word:
    """Merge two reports; until the provider answers, the one that suspends earlier counts, so that
    no report revokes another.
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
    """The debt after the provider's `answer`, which counts; `word` is what that confirms or
    supersedes.

    Only evidence of a payment or of forgiveness clears a debt, never a status alone. A zero balance
    on an ended subscription proves nothing: there, only a payment after the failure counts.
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
    """The end of the paid period after the provider's `answer`, which counts.

    The same payment never lasts longer because the subscription lapsed, and never shorter because
    its plan changed.
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
    """Whether `first` is newer than `second`.

    Equal or missing times prove nothing: provider clocks have whole seconds.
    """
    if first is None or second is None or first == second:
        return Order.UNCLEAR
    return Order.NEWER if first > second else Order.OLDER


SAME_PAYMENT = timedelta(hours=1)
"""The largest difference between the times that a subscription and its payment report for the same
payment.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`snapshot` is the newest provider answer that counts, from `confirmed_at`; None if the
    provider was never queried.

    `word` is what only webhooks have reported since. `doubted_at` is when an answer first
    contradicted what shut the gate and was not accepted at once. `paid_back_at` is the time of its
    newest payment, if the payment of the period was refunded.
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
    linked_at: datetime | None = None

    @property
    def record(self) -> Record:
        """The input of a decision. A period counts as unpaid once its payment was refunded."""
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
    """The subscription after the provider's `answer` counts; it confirms or supersedes `word`."""
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
