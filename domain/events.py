"""A verified webhook delivery in neutral words: a hint about where to look, never a fact about money."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.money import Money
from domain.subscription import Provider, Snapshot


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


class MoneyObject(StrEnum):
    """What kind of object at the provider holds a money fact."""

    SALE = "sale"
    CAPTURE = "capture"
    REFUND = "refund"
    DISPUTE = "dispute"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyReference:
    """Where to GET a money fact: webhooks name it, only the GET is believed."""

    kind: MoneyObject
    id: str


class PaymentStatus(StrEnum):
    COMPLETED = "completed"
    PENDING = "pending"
    DECLINED = "declined"
    REFUNDED = "refunded"
    PARTIALLY_REFUNDED = "partially_refunded"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A money object as a fresh GET told it. `amount` is never negative; `reference` is unique at its provider."""

    reference: MoneyReference
    status: PaymentStatus
    amount: Money
    occurred_at: datetime | None = None
    subscription_id: str | None = None
    custom_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute as a fresh GET told it. `payment_ids` are the disputed money objects' ids."""

    id: str
    open: bool
    lost: bool
    payment_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingEvent:
    """One webhook delivery, read leniently. `problem` says what could not be understood; then it is parked, not lost.

    `occurred_at` is the time of the envelope. `snapshot` is the state that the event itself tells, if it tells one.
    `payment_id` is the payment that a refund, a reversal or a dispute takes back, where the event names it.
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
