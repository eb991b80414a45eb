"""The PayPal simulator's state: plans, subscriptions and payments."""

import random
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

DEFAULT_PLAN = "P-5ML4271244454362WXNWU5NQ"
_NO_DECIMALS = frozenset({"HUF", "JPY", "TWD"})
_LETTERS = string.ascii_uppercase + string.digits


@dataclass(slots=True, kw_only=True)
class Plan:
    id: str
    product_id: str
    name: str
    amount: Decimal
    currency: str
    interval_days: int
    created: datetime
    total_cycles: int = 0
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Subscription:
    """`suspended_by` is nonpayment, merchant or system; only a merchant's suspension can simply be
    activated.
    """

    id: str
    plan_id: str
    status: str
    created: datetime
    updated: datetime
    status_updated: datetime
    start: datetime
    custom_id: str | None = None
    quantity: str = "1"
    email: str = "buyer@example.com"
    note: str | None = None
    currency: str = "USD"
    outstanding: Decimal = Decimal(0)
    failed_payments: int = 0
    next_billing: datetime | None = None
    last_payment: tuple[datetime, Decimal] | None = None
    last_failure: dict[str, Any] | None = None
    suspended_by: str | None = None
    capture_issue: str | None = None
    cycles: int = 0
    return_url: str | None = None
    cancel_url: str | None = None
    revised_plan: str | None = None


@dataclass(slots=True, kw_only=True)
class Sale:
    """A payment of a subscription, or a one-time payment (v1)."""

    id: str
    subscription_id: str | None
    amount: Decimal
    currency: str
    state: str
    created: datetime
    custom: str | None = None
    refunded: Decimal = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Order:
    """An order, which its payer approves and the merchant captures."""

    id: str
    amount: Decimal
    currency: str
    created: datetime
    status: str = "PAYER_ACTION_REQUIRED"
    custom_id: str | None = None
    capture_id: str | None = None
    capture_issue: str | None = None


@dataclass(slots=True, kw_only=True)
class Capture:
    """A payment of an order (v2): a top-up."""

    id: str
    amount: Decimal
    currency: str
    status: str
    created: datetime
    custom_id: str | None = None
    invoice_id: str | None = None
    order_id: str = ""
    refunded: Decimal = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Refund:
    """A refund of a sale or of a capture; a `reversal` if the payer's bank made it. `total`
    includes earlier refunds.
    """

    id: str
    payment: Sale | Capture
    amount: Decimal
    total: Decimal
    created: datetime
    reversal: bool = False
    status: str = "COMPLETED"


@dataclass(slots=True, kw_only=True)
class Dispute:
    id: str
    payment: Sale | Capture
    reason: str
    status: str
    amount: Decimal
    created: datetime
    updated: datetime
    outcome: str | None = None


@dataclass(slots=True)
class State:
    seed: int = 0
    plans: dict[str, Plan] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    sales: dict[str, Sale] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    captures: dict[str, Capture] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    untold_agreements: set[str] = field(default_factory=set)
    """Sales that are reported without their subscription, as has happened
    (paypal/PayPal-PHP-SDK#1201).
    """
    replays: dict[tuple[str, str], str] = field(default_factory=dict)
    refusals: dict[tuple[str, str], str] = field(default_factory=dict)
    """The refusals by PayPal-Request-Id: a repeat gets "the latest status of the previous request".
    """
    calls: dict[str, int] = field(default_factory=dict)
    frozen: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The outdated states that reads of a subscription show: reads that lag behind."""
    clock_offset: timedelta = timedelta(0)
    chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        for emptied in (
            self.plans,
            self.subscriptions,
            self.sales,
            self.orders,
            self.captures,
            self.refunds,
            self.disputes,
            self.untold_agreements,
            self.replays,
            self.refusals,
            self.calls,
            self.frozen,
        ):
            emptied.clear()
        self.clock_offset = timedelta(0)
        self.chance = random.Random(self.seed)  # noqa: S311 - chance, not a secret
        self.add_plan(id=DEFAULT_PLAN, name="Standard", amount=Decimal(49), currency="USD")

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_offset

    def new_id(self, prefix: str = "", length: int = 17) -> str:
        return prefix + "".join(self.chance.choices(_LETTERS, k=length))

    def add_plan(
        self,
        *,
        name: str,
        amount: Decimal,
        currency: str,
        id: str | None = None,  # noqa: A002 - PayPal's own name
        product_id: str = "PROD-XXCD1234QWER65782",
        interval_days: int = 30,
        total_cycles: int = 0,
        body: dict[str, Any] | None = None,
    ) -> Plan:
        plan = Plan(
            id=id or self.new_id("P-", 24),
            product_id=product_id,
            name=name,
            amount=amount,
            currency=currency,
            interval_days=interval_days,
            total_cycles=total_cycles,
            created=self.now(),
            body=body or {},
        )
        self.plans[plan.id] = plan
        return plan

    def payment(self, payment_id: str) -> Sale | Capture:
        """KeyError if neither a sale nor a capture has the id."""
        return self.sales[payment_id] if payment_id in self.sales else self.captures[payment_id]


def to_value(amount: Decimal, currency: str) -> str:
    """PayPal's amounts are strings with the currency's own number of decimals."""
    step = Decimal(1) if currency in _NO_DECIMALS else Decimal("0.01")
    return str(amount.quantize(step, rounding=ROUND_HALF_UP))


def to_time(at: datetime | None) -> str | None:
    """Whole seconds and a Z."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
