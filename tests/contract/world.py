"""The interface of a provider's simulator for the contract tests, in provider-neutral terms."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from domain.billing.events import EventKind
from providers.billing import BillingProvider


@dataclass(frozen=True, slots=True)
class Delivery:
    """A signed webhook, ready to post; header names are lower case."""

    raw: bytes
    headers: dict[str, str]


class World(Protocol):
    """Each act of the outside world returns the webhooks that it causes."""

    @property
    def provider(self) -> BillingProvider: ...

    @property
    def plan_id(self) -> str: ...

    @property
    def other_plan_id(self) -> str: ...

    @property
    def plan_change_needs_consent(self) -> bool: ...

    async def subscribe(self, organization_id: str) -> tuple[str, list[Delivery]]:
        """An active subscription whose first payment of 49 USD was made."""
        ...

    async def approve(self, subscription_id: str) -> list[Delivery]: ...

    async def fail_payment(self, subscription_id: str) -> list[Delivery]: ...

    async def lapse(self, subscription_id: str) -> list[Delivery]:
        """Dunning gives up: the provider suspends for non-payment."""
        ...

    async def pay(self, subscription_id: str) -> list[Delivery]: ...

    async def cancel(self, subscription_id: str) -> list[Delivery]: ...

    async def set_raw_status(self, subscription_id: str, status: str) -> list[Delivery]:
        """From now on the provider reports this status, in its own terms."""
        ...

    async def refund(self, subscription_id: str, amount: Decimal) -> list[Delivery]:
        """Pay back a part of the newest payment."""
        ...

    async def pay_topup(self, checkout_id: str) -> list[Delivery]:
        """The customer pays, or approves, through the link."""
        ...

    async def refund_payment(self, payment_id: str, amount: Decimal) -> list[Delivery]: ...

    async def dispute_payment(self, payment_id: str) -> tuple[str, list[Delivery]]: ...

    async def dispute(self, subscription_id: str) -> tuple[str, list[Delivery]]: ...

    async def settle_dispute(self, dispute_id: str, *, lost: bool) -> list[Delivery]: ...

    async def forged(self, delivery: Delivery) -> list[Delivery]:
        """The same delivery with every kind of foreign signature."""
        ...

    async def break_down(self) -> None:
        """Answer every call with 503 from now on."""
        ...

    async def limit(self, wait: timedelta) -> None:
        """Refuse the next call because of a rate limit."""
        ...

    async def requests(self) -> int:
        """The number of API calls so far, without those for credentials."""
        ...


def kinds(world: World, deliveries: list[Delivery]) -> set[EventKind]:
    return {
        world.provider.parse_webhook(delivery.raw, delivery.headers).kind for delivery in deliveries
    }
