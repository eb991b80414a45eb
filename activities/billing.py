"""Billing activities: ask the provider afresh, book the money it confirms, and fold its answer into the standing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.doorbell import Doorbell
from activities.failures import STALE, translated
from db import alerts, campaigns, folding, inbox, payments, standings, subscriptions
from db.inbox import Delivery
from db.pipeline import reading
from db.subscriptions import Subscription
from domain.events import EventKind, MoneyObject, MoneyReference, Payment, PaymentStatus
from domain.standing import Block, Standing, Status
from domain.subscription import Provider, Snapshot, State
from domain.wallet import Credited
from providers.billing import BillingProvider
from providers.errors import NotFound

log = structlog.get_logger()
STALE_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    organization_id: str


class Billing:
    """Each activity may be repeated any number of times: money is booked once by its own id, a GET changes nothing."""

    def __init__(self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider], doorbell: Doorbell) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._providers = providers
        self._doorbell = doorbell

    @activity.defn(name="confirm_subscription")
    async def confirm_subscription(self, asked: Organization) -> Standing | None:
        """GET what the waiting deliveries are about, fold it, return the standing; None: no such organization.

        Fails retryably as `ProviderUnavailable`, or as `Stale` while the answer is older than a webhook's word; the
        fourth answer is believed whatever its time.
        """
        organization_id = asked.organization_id
        async with self._reading.connect() as conn:
            deliveries = await inbox.unhandled(conn, organization_id)
            known = await subscriptions.of_organization(conn, organization_id)
        named = {(delivery.provider, delivery.subscription_id) for delivery in deliveries}
        money = [delivery for delivery in deliveries if delivery.money is not None]
        cause = f"{deliveries[-1].event_type} {deliveries[-1].event_id}" if deliveries else "self-check"
        told = [
            (subscription, await self._ask(subscription))
            for subscription in known
            if subscription.is_current or (subscription.provider, subscription.id) in named or _awaited(subscription)
        ]
        async with self._engine.begin() as conn:
            standing = await _fold(conn, organization_id, told, cause)
            resumed = [] if money else await _finish(conn, standing, deliveries)
        for delivery in money:
            await self._book(organization_id, delivery)
        if money:
            async with self._engine.begin() as conn:
                standing = await _fold(conn, organization_id, (), cause)
                resumed = await _finish(conn, standing, deliveries)
        for campaign_id in resumed:
            await self._doorbell.ring_campaign(organization_id, campaign_id)
        return standing

    @activity.defn(name="settle_standing")
    async def settle_standing(self, asked: Organization) -> Standing | None:
        """Decide anew from what is recorded, without asking anybody: blocks, deadlines, the newest verified event."""
        async with self._engine.begin() as conn:
            return await standings.settle(
                conn, asked.organization_id, now=datetime.now(UTC), cause="deadline or block", may_open=False
            )

    async def _ask(self, subscription: Subscription) -> Snapshot:
        with translated():
            try:
                return await self._providers[subscription.provider].get_subscription(subscription.id)
            except NotFound:
                return Snapshot(state=State.UNKNOWN, raw_status="not found")

    async def _book(self, organization_id: str, delivery: Delivery) -> None:
        provider, money = self._providers[delivery.provider], delivery.money
        if money is None:
            return
        with translated():
            try:
                if money.kind is MoneyObject.DISPUTE:
                    await self._settle_dispute(organization_id, provider, money)
                elif money.kind is MoneyObject.REFUND or delivery.kind in (EventKind.REFUNDED, EventKind.REVERSED):
                    await self._alert(organization_id, "refund", f"{money.kind} {money.id}: to be settled by a person")
                else:
                    await self._book_payment(organization_id, delivery, await provider.get_payment(money))
            except NotFound:
                await self._park(delivery, f"unknown {money.kind.value} {money.id}: the provider does not have it")

    async def _book_payment(self, organization_id: str, delivery: Delivery, payment: Payment) -> None:
        if payment.status is not PaymentStatus.COMPLETED:
            return
        if payment.reference.kind is MoneyObject.SALE:
            async with self._engine.begin() as conn:
                await payments.book_subscription_payment(conn, organization_id, delivery.provider, payment)
                await inbox.adopt_payment(conn, delivery.provider, payment.reference.id, datetime.now(UTC))
            return
        if inbox.organization_named(payment.custom_id) != organization_id:
            await self._park(delivery, f"capture {payment.reference.id} is not this organization's")
            await self._alert(organization_id, "payment_of_another", f"capture {payment.reference.id}")
            return
        async with self._engine.begin() as conn:
            outcome = await payments.book_topup(conn, organization_id, delivery.provider, payment)
            if isinstance(outcome, Credited):
                return
            await conn.rollback()
        await self._park(delivery, f"capture {payment.reference.id} of {payment.amount} could not be booked: {outcome}")
        await self._alert(organization_id, "payment_not_booked", f"capture {payment.reference.id}")

    async def _settle_dispute(self, organization_id: str, provider: BillingProvider, money: MoneyReference) -> None:
        dispute = await provider.get_dispute(money.id)
        now = datetime.now(UTC)
        async with self._engine.begin() as conn:
            if dispute.open:
                reason = f"{provider.name} dispute {dispute.id}"
                block = standings.HeldBlock(
                    kind=Block.DISPUTE, reference=dispute.id, reason=reason, placed_by=provider.name
                )
                await folding.block(conn, organization_id, block, now=now)
            elif dispute.lost:
                await alerts.raise_(conn, organization_id, "dispute_lost", f"dispute {dispute.id}: the block stays")
            else:
                await folding.unblock(conn, organization_id, Block.DISPUTE, dispute.id, by=provider.name, now=now)

    async def _park(self, delivery: Delivery, reason: str) -> None:
        async with self._engine.begin() as conn:
            await inbox.park(conn, delivery.id, reason)
        log.warning("delivery_parked", event_id=delivery.event_id, event_type=delivery.event_type, reason=reason)

    async def _alert(self, organization_id: str, kind: str, detail: str) -> None:
        async with self._engine.begin() as conn:
            await alerts.raise_(conn, organization_id, kind, detail)
        log.warning("alert_raised", organization_id=organization_id, kind=kind, detail=detail)


def _awaited(subscription: Subscription) -> bool:
    """A checkout that we handed out: its completion may have been lost, and nothing else would tell of it."""
    return subscription.checkout_url is not None and subscription.snapshot.state in (State.NONE, State.PENDING)


async def _fold(
    conn: AsyncConnection, organization_id: str, told: Sequence[tuple[Subscription, Snapshot]], cause: str
) -> Standing | None:
    """Fold what the provider said of each subscription; of none, decide anew from what is recorded."""
    now = datetime.now(UTC)
    standing = None
    try:
        for subscription, snapshot in told:
            standing = await folding.confirm(
                conn,
                subscription,
                snapshot,
                now=now,
                cause=cause,
                may_open=True,
                accept_older=activity.info().attempt > STALE_ATTEMPTS,
            )
    except folding.Stale as problem:
        raise ApplicationError(str(problem), type=STALE) from problem
    return standing or await standings.settle(conn, organization_id, now=now, cause=cause, may_open=True)


async def _finish(conn: AsyncConnection, standing: Standing | None, deliveries: Sequence[Delivery]) -> list[UUID]:
    """The deliveries are acted on; campaigns that waited for what they brought go on, and are to be rung."""
    if deliveries:
        await inbox.mark_handled(conn, [delivery.id for delivery in deliveries])
    if standing is None or standing.status is Status.SUSPENDED or standing.behind:
        return []  # the steps of a reactivation end with it
    return await campaigns.resume_eligible(conn, standing.organization_id)
