"""Links subscriptions that name an organization but are not linked to it, or raises an alert.

Anybody who opens a subscription at PayPal may write any organization into it, and a host may sell
other products to the same customer. So a subscription is linked automatically only if its plan is
one that the organization already pays for.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.inbox.parking import Aside
from db import alerts
from db.billing import subscriptions
from db.inbox import owners, parking, snapshots
from db.inbox.deliveries import Delivery
from db.lifecycle import standings
from domain.alerts import AlertKind
from domain.billing.subscription import BILLING, Provider, Snapshot, Subscription
from providers.billing import BillingProvider
from providers.errors import NotFound, ProviderError

log = structlog.get_logger()


class Unlinked:
    def __init__(self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider]) -> None:
        self._engine = engine
        self._providers = providers
        self._aside = Aside(engine)

    async def look(
        self,
        organization_id: str,
        deliveries: Sequence[Delivery],
        stored_ids: Collection[tuple[Provider, str | None]],
    ) -> None:
        """Query each subscription that a delivery names and that is not `known`; idempotent."""
        for delivery in deliveries:
            id_, provider = delivery.subscription_id, self._providers.get(delivery.provider)
            if id_ is None or provider is None or (delivery.provider, id_) in stored_ids:
                continue
            try:
                await self._look(organization_id, delivery, provider, id_)
            except NotFound:
                log.warning(
                    "subscription_missing", organization_id=organization_id, subscription_id=id_
                )
            except Exception as problem:
                if not isinstance(problem, ProviderError):
                    log.exception(
                        "subscription_lookup_failed",
                        organization_id=organization_id,
                        subscription_id=id_,
                    )
                await self._aside.put_off(organization_id, delivery, problem)

    async def _look(
        self, organization_id: str, delivery: Delivery, provider: BillingProvider, id_: str
    ) -> None:
        snapshot = await provider.get_subscription(id_)
        id_ = snapshot.subscription_id or id_
        async with self._engine.connect() as conn:
            if await subscriptions.find(conn, delivery.provider, id_) is not None:
                return
            owner = await owners.find(conn, delivery.provider, custom_ids=[snapshot.custom_id])
            own = [
                subscription
                for subscription in await subscriptions.of_organization(conn, organization_id)
                if subscription.provider is delivery.provider
            ]
        if owner != organization_id:
            if delivery.money is None:
                await (
                    self._aside.hand_over(delivery, owner)
                    if owner
                    else self._aside.disown(delivery, id_)
                )
        elif snapshot.state not in BILLING:
            async with self._engine.begin() as conn:
                await alerts.clear(
                    conn, organization_id, AlertKind.SUBSCRIPTION_NOT_LINKED, naming=f" {id_} is "
                )
        elif await self._pays_for_the_same(provider, id_, own):
            await self._link(organization_id, delivery, id_, snapshot)
        else:
            await self._alert(organization_id, delivery, id_, snapshot)

    async def _alert(
        self, organization_id: str, delivery: Delivery, id_: str, snapshot: Snapshot
    ) -> None:
        """Raise the alert unless the subscription was linked meanwhile."""
        detail = (
            f"{delivery.provider.value} subscription {id_} is {snapshot.state.value} and names "
            "the organization but is not linked: link it if it pays for this service"
        )
        async with self._engine.begin() as conn:
            await standings.lock(conn, organization_id)
            if await subscriptions.find(conn, delivery.provider, id_) is None:
                await alerts.raise_(
                    conn, organization_id, AlertKind.SUBSCRIPTION_NOT_LINKED, detail
                )

    async def _pays_for_the_same(
        self, provider: BillingProvider, id_: str, own: Sequence[Subscription]
    ) -> bool:
        if not own:
            return False
        plans = set((await provider.trace(id_, None, None)).plan_ids)
        for subscription in own:
            try:
                if plans & set((await provider.trace(subscription.id, None, None)).plan_ids):
                    return True
            except NotFound:
                continue
        return False

    async def _link(
        self, organization_id: str, delivery: Delivery, id_: str, snapshot: Snapshot
    ) -> None:
        """Link it in addition to the current subscription, and replace that one if it no longer
        bills.
        """
        now = datetime.now(UTC)
        async with self._engine.begin() as conn:
            await standings.lock(conn, organization_id)
            await subscriptions.add(conn, organization_id, delivery.provider, id_)
            noted = await subscriptions.find(conn, delivery.provider, id_)
            if noted is None or noted.organization_id != organization_id:
                return
            await snapshots.note_earlier_events(conn, noted, snapshot)
            cause = f"subscription {id_} names the organization"
            standing = await snapshots.confirm(
                conn, noted, snapshot, now=now, cause=cause, may_open=True
            )
            if standing is not None and standing.ask_again:
                await parking.put_off(
                    conn, delivery.id, f"{cause}, and differs from what a webhook reported"
                )
            await parking.adopt_subscription(conn, delivery.provider, id_, now)
            await alerts.clear(conn, organization_id, AlertKind.SUBSCRIPTION_NOT_LINKED)
        log.info("subscription_linked", organization_id=organization_id, subscription_id=id_)
