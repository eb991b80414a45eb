"""Books refunds and disputes for the organization whose payment they reverse, as read by a fresh
GET.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.inbox.parking import SURELY_THERE, Aside, is_older
from db import alerts
from db.billing import blocks, payments, reversals, subscriptions
from db.billing.receivables import NotBooked
from db.billing.reversals import NeverCredited, OfSubscription, OtherCurrency, UnknownPayment
from db.inbox import owners, parking
from db.inbox.deliveries import Delivery
from db.lifecycle import standings
from domain.alerts import AlertKind
from domain.billing.events import (
    PAID_STATUSES,
    Dispute,
    EventKind,
    MoneyObject,
    MoneyReference,
    Payment,
    PaymentStatus,
    Reversal,
    disputed,
    refunded,
)
from domain.billing.subscription import Provider
from domain.lifecycle.standing import Block
from providers.billing import BillingProvider
from providers.errors import NotFound

ANOTHERS = "it concerns another organization's payment"


class Reversing:
    """Idempotent."""

    def __init__(
        self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider], aside: Aside
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._aside = aside

    async def book_refund(self, organization_id: str, delivery: Delivery, refund: Payment) -> None:
        if refund.status is PaymentStatus.PENDING:
            await self._aside.park_undecided(delivery, refund)
            return
        taken_back = refunded(refund, by_bank=delivery.kind is EventKind.REVERSED)
        if taken_back is None:
            detail = f"refund {refund.reference.id} does not name its payment or its final result"
            await self._aside.alert(organization_id, AlertKind.REFUND, detail)
            why = f"not booked: {refund.reference.id} is {refund.status.value}"
            await self._aside.note_outcome(delivery, why)
            return
        owner = await self._owner_of_payment(delivery.provider, taken_back.payment_id)
        if owner not in (None, organization_id):
            await self._let_go(
                organization_id, delivery, AlertKind.PAYMENT_OF_ANOTHER, ANOTHERS, owner
            )
            return
        await self._note_unbooked(organization_id, delivery.provider, taken_back.payment_id)
        async with self._engine.begin() as conn:
            problem = await self._reverse(conn, organization_id, delivery, taken_back)
            await parking.note_reversal(conn, delivery, taken_back.id)
        if problem is not None:
            await self._aside.park(delivery, problem, refund.amount)

    async def settle_dispute(
        self, organization_id: str, delivery: Delivery, dispute: Dispute
    ) -> None:
        owner = await self._owner_of_dispute(organization_id, delivery.provider, dispute)
        if owner != organization_id:
            await self._let_go(
                organization_id, delivery, AlertKind.PAYMENT_OF_ANOTHER, ANOTHERS, owner
            )
            return
        for payment_id in dispute.payment_ids:
            await self._note_unbooked(organization_id, delivery.provider, payment_id)
        now, by, problem = datetime.now(UTC), delivery.provider.value, None
        taken_back = disputed(dispute)
        async with self._engine.begin() as conn:
            await standings.lock(conn, organization_id)
            if dispute.open:
                reason = f"{by} dispute {dispute.id}"
                block = standings.HeldBlock(
                    kind=Block.DISPUTE, reference=dispute.id, reason=reason, placed_by=by
                )
                await blocks.block(conn, organization_id, block, now=now)
            elif dispute.lost:
                await alerts.raise_(
                    conn,
                    organization_id,
                    AlertKind.DISPUTE_LOST,
                    f"dispute {dispute.id}: the block stays",
                )
            elif dispute.withdrawn is None:
                detail = f"dispute {dispute.id} is closed without a known winner: the block stays"
                await alerts.raise_(conn, organization_id, AlertKind.DISPUTE_LOST, detail)
            if taken_back is not None:
                problem = await self._reverse(conn, organization_id, delivery, taken_back)
                await parking.note_reversal(conn, delivery, taken_back.id)
            else:
                await parking.note_outcome(
                    conn,
                    delivery.id,
                    f"not booked: dispute {dispute.id} does not name the withdrawn amount",
                )
                if dispute.withdrawn:
                    detail = (
                        f"dispute {dispute.id} does not name the payment and the withdrawn amount"
                    )
                    await alerts.raise_(conn, organization_id, AlertKind.REFUND, detail)
            if not dispute.open and dispute.withdrawn is False:
                await blocks.unblock(
                    conn, organization_id, Block.DISPUTE, dispute.id, by=by, now=now
                )
        if problem is not None:
            await self._aside.park(delivery, problem, dispute.amount)

    async def let_go_unknown(self, organization_id: str, delivery: Delivery) -> None:
        """Handles a dispute known only from a webhook, which may be forged: it does not block, and
        an alert informs an operator.
        """
        await self._let_go(
            organization_id,
            delivery,
            AlertKind.REVERSAL_NOT_BOOKED,
            "the provider does not have it",
            None,
        )

    async def _owner_of_payment(self, provider: Provider, payment_id: str) -> str | None:
        async with self._engine.connect() as conn:
            return await owners.find(conn, provider, payment_ids=[payment_id])

    async def _owner_of_dispute(
        self, organization_id: str, provider: Provider, dispute: Dispute
    ) -> str | None:
        """The owner of the dispute's payment; the organization named by the webhook if the dispute
        names no payment; None if no organization owns it.
        """
        async with self._engine.connect() as conn:
            booked = await payments.owners(conn, provider, dispute.payment_ids)
        if booked or not dispute.payment_ids:
            return organization_id if not booked or organization_id in booked else min(booked)
        reference = MoneyReference(kind=MoneyObject.DISPUTE, id=dispute.id)
        clues = await self._providers[provider].trace(None, reference, None)
        async with self._engine.connect() as conn:
            return await owners.find(
                conn,
                provider,
                subscription_ids=clues.subscription_ids,
                payment_ids=clues.payment_ids,
                custom_ids=clues.custom_ids,
            )

    async def _note_unbooked(
        self, organization_id: str, provider: Provider, payment_id: str
    ) -> None:
        """Record a subscription payment that was made before the subscription was linked.

        Does not credit a top-up: the previous owner of the wallet may have credited it by hand.
        """
        if await self._owner_of_payment(provider, payment_id) is not None:
            return
        try:
            payment = await self._providers[provider].get_payment(
                MoneyReference(kind=MoneyObject.SALE, id=payment_id)
            )
        except NotFound:
            return
        if payment.reference.kind is not MoneyObject.SALE or payment.subscription_id is None:
            return
        async with self._engine.begin() as conn:
            subscription = await subscriptions.find(conn, provider, payment.subscription_id)
            if (
                subscription is None
                or subscription.organization_id != organization_id
                or not payment.amount.micros
            ):
                return
            if payment.status in PAID_STATUSES:
                named = replace(
                    payment, reference=MoneyReference(kind=MoneyObject.SALE, id=payment_id)
                )
                await payments.book_subscription_payment(conn, organization_id, provider, named)

    async def _reverse(
        self, conn: AsyncConnection, organization_id: str, delivery: Delivery, reversal: Reversal
    ) -> str | None:
        """The reason why it has to wait, or None."""
        try:
            async with conn.begin_nested():
                outcome = await reversals.book(
                    conn, organization_id, delivery.provider, reversal, now=datetime.now(UTC)
                )
        except NotBooked as problem:
            await alerts.raise_(
                conn,
                organization_id,
                AlertKind.REVERSAL_NOT_BOOKED,
                f"{reversal.what} {reversal.id}: {problem}",
            )
            return f"{reversal.what} {reversal.id} could not be booked: {problem}"
        match outcome:
            case UnknownPayment(payment_id=id_):
                if not reversal.stands:
                    return None
                waits = (
                    f"payment {id_}, which {reversal.what} {reversal.id} of {reversal.amount} "
                    "reverses, is not booked"
                )
                if is_older(delivery, SURELY_THERE):
                    await alerts.raise_(conn, organization_id, AlertKind.REVERSAL_NOT_BOOKED, waits)
                return f"unknown {waits}"
            case _:
                await self._alert_person(conn, organization_id, reversal, outcome)
        other = (
            None
            if reversal.stands
            else await reversals.twin(conn, organization_id, delivery.provider, reversal)
        )
        if other is not None:
            detail = (
                f"{reversal.what} {reversal.id} was returned, {other} of the same amount was not:"
                " check whether that was returned, too"
            )
            await alerts.raise_(conn, organization_id, AlertKind.REFUND, detail)
        return None

    async def _alert_person(
        self,
        conn: AsyncConnection,
        organization_id: str,
        reversal: Reversal,
        outcome: reversals.Outcome,
    ) -> None:
        """Raise an alert about what Tollgate cannot, or only partly, settle by itself."""
        match outcome:
            case OtherCurrency():
                kind, detail = (
                    AlertKind.REFUND,
                    (
                        f"{reversal.what} {reversal.id} of {reversal.amount} has another currency than "
                        "its payment"
                    ),
                )
            case NeverCredited() if not reversal.stands:
                kind, detail = (
                    AlertKind.PAYMENT_NOT_BOOKED,
                    (
                        f"{reversal.what} {reversal.id} was returned,"
                        f" but payment {reversal.payment_id} was not credited because of it"
                    ),
                )
            case OfSubscription() if reversal.what != "dispute":
                kind, detail = (
                    AlertKind.REFUND,
                    (
                        f"{reversal.what} {reversal.id} of a subscription payment: an operator has to "
                        "resolve it"
                    ),
                )
            case reversals.Booked(counted=counted, reported=whole) if (
                reversal.stands and counted != whole
            ):
                kind, detail = (
                    AlertKind.REFUND,
                    (f"{reversal.what} {reversal.id} of {whole}: {counted} of it was booked"),
                )
            case _:
                return
        await alerts.raise_(conn, organization_id, kind, detail)

    async def _let_go(
        self, organization_id: str, delivery: Delivery, kind: AlertKind, why: str, owner: str | None
    ) -> None:
        """The webhook named this organization but the provider does not: nothing counts here."""
        assert delivery.money is not None
        what, id_, by = delivery.money.kind.value, delivery.money.id, delivery.provider.value
        async with self._engine.begin() as conn:
            await blocks.unblock(
                conn, organization_id, Block.DISPUTE, id_, by=by, now=datetime.now(UTC)
            )
        await self._aside.alert(organization_id, kind, f"{what} {id_}: {why}, so it blocks nothing")
        if owner is not None:
            await self._aside.hand_over(delivery, owner)
        elif why == ANOTHERS:
            await self._aside.disown(delivery)
        else:
            await self._aside.park(delivery, f"{what} {id_}: {why}")
