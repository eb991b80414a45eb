"""What every billing provider's adapter can do; the contract tests run against this."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.billing.events import BillingEvent, Dispute, MoneyReference, Payment, PaymentStatus
from domain.billing.subscription import Provider, Snapshot
from domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutLink:
    """Where the customer consents. The subscription exists at the provider, but bills nobody
    yet.
    """

    subscription_id: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpLink:
    """Where the customer pays once. Nothing is paid yet."""

    checkout_id: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """How far a top-up's checkout has come: open, or paid (`payment`, pending ones too), or given
    up.
    """

    open: bool
    payment: Payment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """The first charge is not at the consent, which has to be given until `expires_at` where the
    provider can tell.
    """

    first_charge_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An event as its provider lists it; `raw` is not what was delivered, byte by byte, and bears
    no signature.
    """

    event: BillingEvent
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Clues:
    """What a provider says of whose something is: the ids that the host application wrote into it
    (`custom_ids`), its subscriptions, plans and payments; and what a person knows it by.
    """

    custom_ids: tuple[str, ...] = ()
    subscription_ids: tuple[str, ...] = ()
    payment_ids: tuple[str, ...] = ()
    plan_ids: tuple[str, ...] = ()
    amount: Money | None = None
    payer: str = ""


class Resumed(StrEnum):
    RESUMED = "resumed"
    NEEDS_PAYMENT = "needs_payment"
    NEEDS_NEW_CONSENT = "needs_new_consent"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """`approve_url` is set where the customer has to consent before the change counts."""

    approve_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What became of one attempt at collecting. A pending or a declined one may have no payment
    yet, or never.
    """

    status: PaymentStatus
    amount: Money
    payment_id: str | None = None

    @classmethod
    def by(cls, payment: Payment) -> "Collected":
        return cls(status=payment.status, amount=payment.amount, payment_id=payment.reference.id)


class BillingProvider(Protocol):
    """All calls raise `ProviderUnavailable` or `ProviderRefused` (providers/errors.py); none of
    them retries.
    """

    name: Provider

    async def verify_webhook(
        self, raw: bytes, headers: Mapping[str, str], *, now: datetime
    ) -> None:
        """Raise `InvalidSignature` or `VerificationUnavailable`; header names are lower case."""
        ...

    def parse_webhook(self, raw: bytes, headers: Mapping[str, str]) -> BillingEvent:
        """Read a verified body leniently: it never raises, `problem` says what was not
        understood.
        """
        ...

    async def get_subscription(self, subscription_id: str) -> Snapshot: ...

    async def get_payment(self, reference: MoneyReference) -> Payment: ...

    async def get_dispute(self, dispute_id: str) -> Dispute: ...

    async def trace(
        self, subscription_id: str | None, money: MoneyReference | None, payment_id: str | None
    ) -> Clues:
        """Whose these are. Raises `NotFound` where it has none of them."""
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
        """Raises `BadAmount` for an amount that the provider does not take: too fine, too small or
        too large.
        """
        ...

    async def settle_topup(self, checkout_id: str) -> TopUp:
        """Take the payment once if the customer approved it and it waits for that, and tell.
        Repeatable.
        """
        ...

    async def ensure_suspended(self, subscription_id: str, reason: str) -> Snapshot: ...

    async def ensure_resumed(self, subscription_id: str, reason: str) -> Resumed: ...

    async def ensure_canceled(self, subscription_id: str, reason: str) -> Snapshot: ...

    async def change_plan(self, subscription_id: str, plan_id: str) -> PlanChange: ...

    async def collect_outstanding(
        self, subscription_id: str, amount: Money, *, idempotency_key: str, since: datetime
    ) -> Collected:
        """A key is one attempt, made first at `since`: the answer to it stays, and a further
        attempt takes a new key.

        Raises `WrongState` where nothing is outstanding, or another amount.
        """
        ...

    def list_payments(
        self, subscription_id: str, start: datetime, end: datetime
    ) -> AsyncIterator[Payment]: ...

    def list_events(self, start: datetime, end: datetime) -> AsyncGenerator[Listed, None]:
        """What happened between, newest first, whether it was delivered or not."""
        ...
