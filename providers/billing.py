"""The interface of billing provider adapters; the contract tests run against it."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from domain.billing.events import BillingEvent, Dispute, MoneyReference, Payment, PaymentStatus
from domain.billing.subscription import Provider, Snapshot
from domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutLink:
    """The page where the customer consents. The subscription exists at the provider but does not
    bill yet.
    """

    subscription_id: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpLink:
    """The page where the customer pays once. Nothing is paid yet."""

    checkout_id: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """The state of a top-up's checkout: open, paid (`payment`, which may be pending), or given up."""

    open: bool
    payment: Payment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Charges first at `first_charge_at`, not at the consent; the consent is due by `expires_at` if
    the provider supports that.
    """

    first_charge_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An event as its provider lists it; `raw` differs from the delivered bytes and has no
    signature.
    """

    event: BillingEvent
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Clues:
    """What a provider knows about an object's owner: the ids that the host application wrote into
    it (`custom_ids`), its subscriptions, plans and payments, and what a person recognizes.
    """

    custom_ids: tuple[str, ...] = ()
    subscription_ids: tuple[str, ...] = ()
    payment_ids: tuple[str, ...] = ()
    plan_ids: tuple[str, ...] = ()
    amount: Money | None = None
    payer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionPage:
    """A page of an account's subscriptions that have not ended. A snapshot covers no invoice but
    the newest one: `unpaid` are subscriptions of which some invoice is not paid. `next` is where
    the following page begins; None after the last.
    """

    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    unpaid: frozenset[str] = frozenset()
    next: str | None = None


class Resumed(StrEnum):
    RESUMED = "resumed"
    NEEDS_PAYMENT = "needs_payment"
    NEEDS_NEW_CONSENT = "needs_new_consent"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """`approve_url` is set if the customer must consent before the change takes effect."""

    approve_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The result of one attempt to collect. A pending or declined attempt may have no payment yet,
    or ever.
    """

    status: PaymentStatus
    amount: Money
    payment_id: str | None = None

    @classmethod
    def by(cls, payment: Payment) -> "Collected":
        return cls(status=payment.status, amount=payment.amount, payment_id=payment.reference.id)


class BillingProvider(Protocol):
    """All calls raise `ProviderUnavailable` or `ProviderRefused` (providers/errors.py); none
    retries.
    """

    name: Provider

    async def verify_webhook(
        self, raw: bytes, headers: Mapping[str, str], *, now: datetime
    ) -> None:
        """Raise `InvalidSignature` or `VerificationUnavailable`; header names are lower case."""
        ...

    def parse_webhook(self, raw: bytes, headers: Mapping[str, str]) -> BillingEvent:
        """Read a verified body leniently: never raises; `problem` says what was not understood."""
        ...

    async def get_subscription(self, subscription_id: str) -> Snapshot: ...

    async def get_payment(self, reference: MoneyReference) -> Payment: ...

    async def get_dispute(self, dispute_id: str) -> Dispute: ...

    async def trace(
        self, subscription_id: str | None, money: MoneyReference | None, payment_id: str | None
    ) -> Clues:
        """Find clues to the owner. Raises `NotFound` if the provider has none of the objects."""
        ...

    async def create_checkout(
        self,
        *,
        organization_id: str,
        plan_id: str,
        return_url: str,
        cancel_url: str,
        idempotency_key: str,
        later: Later | None = None,
    ) -> CheckoutLink: ...

    async def create_topup(
        self,
        *,
        organization_id: str,
        amount: Money,
        return_url: str,
        cancel_url: str,
        idempotency_key: str,
    ) -> TopUpLink:
        """Raises `BadAmount` for an amount that the provider rejects: too fine, too small or too
        large.
        """
        ...

    async def settle_topup(self, checkout_id: str) -> TopUp:
        """Capture the payment once if the customer approved it, and return the state. Idempotent."""
        ...

    async def ensure_suspended(self, subscription_id: str, reason: str) -> Snapshot: ...

    async def ensure_resumed(self, subscription_id: str, reason: str) -> Resumed: ...

    async def ensure_canceled(self, subscription_id: str, reason: str) -> Snapshot: ...

    async def change_plan(self, subscription_id: str, plan_id: str) -> PlanChange: ...

    async def collect_outstanding(
        self, subscription_id: str, amount: Money, *, idempotency_key: str, since: datetime
    ) -> Collected:
        """A key is one attempt, first made at `since`: its result is final, and another attempt
        takes a new key.

        Raises `WrongState` if nothing is outstanding, or another amount.
        """
        ...

    def list_payments(
        self, subscription_id: str, start: datetime, end: datetime
    ) -> AsyncIterator[Payment]: ...

    def list_events(self, start: datetime, end: datetime) -> AsyncGenerator[Listed, None]:
        """Events between the two times, newest first, whether delivered or not."""
        ...


@runtime_checkable
class ListsSubscriptions(Protocol):
    """A provider that lists an account's subscriptions. PayPal documents no such list."""

    async def list_subscriptions(self, page: str | None) -> SubscriptionPage:
        """One call, for a `next` of an earlier page; None for the first page."""
        ...
