"""Finds the owners of parked deliveries in our own rows, or else by querying the provider.

No delivery that names a known organization stays parked silently; one that names no organization
shows its amount and payer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.inbox.parking import is_older, name
from db import alerts
from db.inbox import adoption, deliveries, owners, parking
from db.inbox.parking import Parked
from domain.alerts import AlertKind
from domain.billing.events import EventKind, brings_money
from domain.billing.subscription import Provider
from providers.billing import BillingProvider, Clues
from providers.errors import NotFound, ProviderError

log = structlog.get_logger()
EVERY = timedelta(seconds=1)
AT_ONCE = 5
GIVEN_UP = timedelta(days=3)
"""How long a delivery without money waits for its subscription to be linked: linking queries the
provider anyway.
"""


class Finding:
    """Any number of processes may run it: each skips what another is working on.

    A delivery that names none of ours, and whose plan, product or custom id at the provider begins
    with one of `other_products`, belongs to another product on the same account and is dismissed.
    With `of` only that provider's deliveries are looked at.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        providers: Mapping[Provider, BillingProvider],
        other_products: Sequence[str] = (),
        *,
        of: Provider | None = None,
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._other_products = tuple(other_products)
        self._of = of
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def step(self) -> float:
        await self.find(now=datetime.now(UTC))
        return EVERY.total_seconds()

    async def find(self, *, now: datetime) -> int:
        """One pass over the due deliveries; the relay notifies organizations that get one assigned.

        Returns how many it looked at.
        """
        async with self._engine.begin() as conn:
            adopted = await adoption.adopt(conn, now=now, provider=self._of)
        await asyncio.gather(*(self._ask(parked) for parked in adopted.lost))
        return len(adopted.assigned) + len(adopted.lost)

    async def _ask(self, parked: Parked) -> None:
        provider = self._providers.get(parked.delivery.provider)
        async with self._turns:
            try:
                if provider is not None:
                    await self._trace(provider, parked)
            except ProviderError as problem:
                log.warning(
                    "owner_query_failed", event_id=parked.delivery.event_id, problem=str(problem)
                )
            except Exception:  # one failure must not block the others
                log.exception("owner_lookup_failed", event_id=parked.delivery.event_id)

    async def _trace(self, provider: BillingProvider, parked: Parked) -> None:
        delivery = parked.delivery
        if (
            delivery.subscription_id is None
            and delivery.money is None
            and parked.payment_id is None
        ):
            await self._dismiss(parked, "it names no object that a provider could be queried for")
            return
        clues: Clues | None
        try:
            clues = await provider.trace(
                delivery.subscription_id, delivery.money, parked.payment_id
            )
        except NotFound:
            clues = None
        if clues is not None and await self._adopt(parked, clues):
            return
        if clues is not None and (other := self._other_product(clues)) is not None:
            await self._dismiss(parked, f"it belongs to another product: {other}")
        elif is_older(delivery, GIVEN_UP) and not (
            clues and brings_money(delivery.kind, delivery.money)
        ):
            await self._dismiss(
                parked,
                "it names no known organization" if clues else "the provider does not have it",
            )
        else:
            await self._describe(parked, clues)

    async def _adopt(self, parked: Parked, clues: Clues) -> bool:
        delivery, now = parked.delivery, datetime.now(UTC)
        async with self._engine.begin() as conn:
            owner = await owners.find(
                conn,
                delivery.provider,
                subscription_ids=clues.subscription_ids,
                payment_ids=clues.payment_ids,
                custom_ids=clues.custom_ids,
            )
            if owner is None:
                return False
            await deliveries.assign(conn, delivery.id, owner, now=now)
            if delivery.kind is EventKind.FRAUD_WARNING:
                await alerts.raise_(
                    conn,
                    owner,
                    AlertKind.FRAUD_WARNING,
                    f"{delivery.event_type} about {parked.payment_id}",
                )
        log.info("owner_found", event_id=delivery.event_id, organization_id=owner)
        return True

    def _other_product(self, clues: Clues) -> str | None:
        named = (*clues.plan_ids, *clues.custom_ids)
        return next(
            (id_ for id_ in named if self._other_products and id_.startswith(self._other_products)),
            None,
        )

    async def _dismiss(self, parked: Parked, why: str) -> None:
        async with self._engine.begin() as conn:
            await parking.dismiss(conn, parked.delivery.id, why)

    async def _describe(self, parked: Parked, clues: Clues | None) -> None:
        subject = (
            f"subscription {parked.delivery.subscription_id}"
            if parked.delivery.money is None
            else ""
        )
        details = clues or Clues()
        custom_id = details.custom_ids[0] if details.custom_ids else None
        says = "the provider does not have it" if clues is None else _in_words(details)
        async with self._engine.begin() as conn:
            await parking.describe(
                conn,
                parked.delivery.id,
                f"{deliveries.UNKNOWN}{subject or name(parked.delivery)}: {says}",
                amount=details.amount,
                custom_id=custom_id,
                payer=details.payer,
            )


def _in_words(clues: Clues) -> str:
    named = (
        f"custom id {clues.custom_ids[0]!r} names no organization"
        if clues.custom_ids
        else "it names no known organization"
    )
    return f"{clues.amount}, {named}" if clues.amount is not None else named
