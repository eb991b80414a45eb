"""A verified webhook delivery in neutral words: a hint about where to look, never a fact about
money.
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
"""What may be bad news even where the event does not tell the state: then the provider is asked in
the answer.
"""


class MoneyObject(StrEnum):
    """What kind of object at the provider holds a money fact."""

    SALE = "sale"
    CAPTURE = "capture"
    REFUND = "refund"
    DISPUTE = "dispute"
    CHECKOUT = "checkout"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyReference:
    """Where to GET a money fact: webhooks name it, only the GET is believed."""

    kind: MoneyObject
    id: str


def brings_money(kind: EventKind, money: MoneyReference | None) -> bool:
    """Whether an event may tell of money that moved. Of what is only approved, pending or refused,
    another one will.
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
    """A money object as a fresh GET told it. `amount` is never negative; `reference` is unique at
    its provider.

    `reverses` is the id of the payment that a refund takes back.
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
    """A dispute as a fresh GET told it. `payment_ids` are the disputed money objects' ids.

    `amount` is what it is about, `withdrawn` whether that is taken from us as things stand: Stripe
    takes it at once and gives it back with a dispute that is won, PayPal takes it with one that is
    lost. None: it does not say; then what was booked stays.
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
    """What a payment's payer got back, by a `what`: a refund, a bank's reversal or a dispute, as a
    fresh GET told it.

    `stands` false: it was not taken, or has been given back to us.
    """

    id: str
    what: str
    payment_id: str
    amount: Money
    stands: bool
    occurred_at: datetime | None = None


def refunded(refund: Payment, *, by_bank: bool = False) -> Reversal | None:
    """Of a refund, or of a reversal `by_bank`, which is told in the shape of one.

    None where it is not decided yet, or the provider does not say which payment it takes back.
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
    """None where it does not say whether it takes how much of which one payment."""
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
    """One webhook delivery, read leniently. `problem` says what could not be understood; then it is
    parked, not lost.

    `occurred_at` is the time of the envelope. `snapshot` is the state that the event itself tells,
    if it tells one. `concern` is what it shows of a wrong setting at the provider, though it was
    understood. `payment_id` is the payment that a refund, a reversal or a dispute takes back, where
    the event names it.
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
