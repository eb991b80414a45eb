"""A verified webhook delivery in provider-neutral form: a hint about what to query, never a fact
about money.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.billing.subscription import Provider, Snapshot
from domain.money import Money


class EventKind(StrEnum):
    SUBSCRIPTION_CREATED = "subscription_created"
    ACTIVATED = "activated"
    CHANGED = "changed"
    PAUSED = "paused"
    RESUMED = "resumed"
    SUSPENDED = "suspended"
    CANCELED = "canceled"
    EXPIRED = "expired"
    PAYMENT_SUCCEEDED = "payment_succeeded"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_PENDING = "payment_pending"
    PAYMENT_ACTION_REQUIRED = "payment_action_required"
    REFUNDED = "refunded"
    REVERSED = "reversed"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_CLOSED = "dispute_closed"
    FRAUD_WARNING = "fraud_warning"
    CHECKOUT_COMPLETED = "checkout_completed"
    IGNORED = "ignored"


MAY_CLOSE = frozenset(
    {
        EventKind.CHANGED,
        EventKind.SUSPENDED,
        EventKind.CANCELED,
        EventKind.EXPIRED,
        EventKind.PAUSED,
        EventKind.PAYMENT_FAILED,
    }
)
"""Kinds that may be bad news even if the event carries no state; the provider is then queried
before the webhook is answered.
"""


class MoneyObject(StrEnum):
    """The kind of provider object that carries a money fact."""

    SALE = "sale"
    CAPTURE = "capture"
    REFUND = "refund"
    DISPUTE = "dispute"
    CHECKOUT = "checkout"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyReference:
    """The object to GET for a money fact: a webhook names it, only the GET is trusted."""

    kind: MoneyObject
    id: str


def brings_money(kind: EventKind, money: MoneyReference | None) -> bool:
    """Whether an event may report money that moved. For a payment that is only approved, pending or
    refused, another event follows.
    """
    moved = kind not in (EventKind.PAYMENT_FAILED, EventKind.PAYMENT_PENDING)
    return moved and money is not None and money.kind is not MoneyObject.CHECKOUT


class PaymentStatus(StrEnum):
    COMPLETED = "completed"
    PENDING = "pending"
    DECLINED = "declined"
    REFUNDED = "refunded"
    PARTIALLY_REFUNDED = "partially_refunded"
    UNKNOWN = "unknown"


PAID_STATUSES = frozenset(
    {PaymentStatus.COMPLETED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A money object as returned by a fresh GET. `amount` is never negative; `reference` is unique
    at its provider.

    `reverses` is the id of the payment that a refund returns.
    """

    reference: MoneyReference
    status: PaymentStatus
    amount: Money
    occurred_at: datetime | None = None
    subscription_id: str | None = None
    custom_id: str | None = None
    reverses: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute as returned by a fresh GET. `payment_ids` are the ids of the disputed money
    objects.

    `amount` is the disputed amount. `withdrawn` says whether it is currently taken from us: Stripe
    withdraws it at once and returns it when the dispute is won; PayPal withdraws it when the
    dispute is lost. None: the provider does not say, and what was booked stays.
    """

    id: str
    open: bool
    lost: bool
    payment_ids: tuple[str, ...] = ()
    amount: Money | None = None
    withdrawn: bool | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """Money that a payer got back, as returned by a fresh GET. `what` is a refund, a bank's
    reversal or a dispute.

    `stands` is false if the money was not taken, or has been returned to us.
    """

    id: str
    what: str
    payment_id: str
    amount: Money
    stands: bool
    occurred_at: datetime | None = None


def refunded(refund: Payment, *, by_bank: bool = False) -> Reversal | None:
    """The reversal that a refund causes, or a bank's reversal (`by_bank`), which has the shape of a
    refund.

    None while it is undecided, or if the provider does not name the payment.
    """
    if refund.reverses is None or refund.status not in (
        PaymentStatus.COMPLETED,
        PaymentStatus.DECLINED,
    ):
        return None
    return Reversal(
        id=refund.reference.id,
        what="reversal" if by_bank else "refund",
        payment_id=refund.reverses,
        amount=refund.amount,
        stands=refund.status is PaymentStatus.COMPLETED,
        occurred_at=refund.occurred_at,
    )


def disputed(dispute: Dispute) -> Reversal | None:
    """The reversal that a dispute causes. None unless the dispute names one payment, its amount and
    whether it is withdrawn.
    """
    if dispute.withdrawn is None or dispute.amount is None or len(dispute.payment_ids) != 1:
        return None
    return Reversal(
        id=dispute.id,
        what="dispute",
        payment_id=dispute.payment_ids[0],
        amount=dispute.amount,
        stands=dispute.withdrawn,
        occurred_at=dispute.occurred_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingEvent:
    """One webhook delivery, parsed leniently. `problem` says what could not be parsed; the delivery
    is then parked, not lost.

    `occurred_at` is the time in the envelope. `snapshot` is the state that the event itself
    carries, if any. `concern` describes a wrong setting at the provider that the event reveals
    although it was parsed. `payment_id` is the payment that a refund, a reversal or a dispute
    reverses, if the event names it.
    """

    provider: Provider
    event_id: str
    event_type: str
    kind: EventKind
    transmission_id: str | None = None
    occurred_at: datetime | None = None
    subscription_id: str | None = None
    custom_id: str | None = None
    snapshot: Snapshot | None = None
    money: MoneyReference | None = None
    payment_id: str | None = None
    problem: str | None = None
    concern: str | None = None
