"""Books the money that deliveries point at: each fact once by its own id, from a fresh GET, never from the body."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.failures import translated
from db import alerts, customer_migrations, folding, inbox, parking, payments, reversals, standings, topups
from db.inbox import Delivery
from db.reversals import NeverCredited, NotBooked, OfSubscription, OtherCurrency, UnknownPayment
from db.topups import TopUpCheckout
from domain.events import (
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
from domain.standing import Block
from domain.subscription import Provider
from domain.wallet import Credited
from providers.billing import BillingProvider
from providers.errors import NotFound, ProviderError, ProviderUnavailable

log = structlog.get_logger()
UNREADABLE = "UNREADABLE"
UNDECIDED = frozenset({PaymentStatus.PENDING, PaymentStatus.UNKNOWN})
SURELY_THERE = timedelta(minutes=1)
"""So long after its event a provider has a dispute, if it is genuine."""
PAID = frozenset({PaymentStatus.COMPLETED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED})


class Booking:
    """May be repeated any number of times. What cannot be booked is parked in sight, and raises an alert."""

    def __init__(self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider]) -> None:
        self._engine = engine
        self._providers = providers

    async def book(self, organization_id: str, deliveries: Sequence[Delivery]) -> dict[Provider, ApplicationError]:
        """Book what they point at; returns the providers that did not answer, whose deliveries have to be booked again.

        One that is silent holds up no money of another.
        """
        silent: dict[Provider, ApplicationError] = {}
        for delivery in deliveries:
            if delivery.provider in silent:
                continue
            try:
                with translated():
                    await self._book(organization_id, delivery)
            except ApplicationError as problem:
                silent[delivery.provider] = problem
        return silent

    async def _book(self, organization_id: str, delivery: Delivery) -> None:
        provider, money = self._providers.get(delivery.provider), delivery.money
        if money is None:
            return
        if provider is None:
            await self._park(delivery, f"{delivery.provider.value} is not set up here")
            return
        try:
            match money.kind:
                case MoneyObject.DISPUTE:
                    await self._settle_dispute(organization_id, delivery, await provider.get_dispute(money.id))
                case MoneyObject.REFUND:
                    await self._book_refund(organization_id, delivery, await provider.get_payment(money))
                case MoneyObject.CHECKOUT:
                    await self._settle_delivered(organization_id, provider, money.id)
                case _:
                    await self._book_payment(organization_id, delivery, await provider.get_payment(money))
        except ProviderError as problem:
            if _is_silent(problem):
                raise
            await self._set_aside(organization_id, delivery, money, problem)

    async def _set_aside(
        self, organization_id: str, delivery: Delivery, money: MoneyReference, problem: ProviderError
    ) -> None:
        """It is parked and asked for again; a person is told, unless it may only be too young to be found."""
        absent = isinstance(problem, NotFound)
        old = datetime.now(UTC) - delivery.received_at > SURELY_THERE
        if absent and old and money.kind is MoneyObject.DISPUTE:
            await self._let_go(organization_id, delivery, "reversal_not_booked", "the provider does not have it")
            return
        why = f"{money.kind.value} {money.id}: {'the provider does not have it' if absent else problem}"
        if old or not absent:
            taken_back = money.kind in (MoneyObject.REFUND, MoneyObject.DISPUTE)
            await self._alert(organization_id, "reversal_not_booked" if taken_back else "payment_not_booked", why)
        await self._park(delivery, f"unknown {why}")

    async def _book_payment(self, organization_id: str, delivery: Delivery, payment: Payment) -> None:
        if payment.status is PaymentStatus.UNKNOWN:
            detail = f"{payment.reference.kind.value} {payment.reference.id} has a status that is not known here"
            await self._alert(organization_id, "payment_not_booked", detail)
        if payment.status in UNDECIDED:
            await self._park_undecided(delivery, payment)
            return
        if payment.status not in PAID:
            await self._note_not_booked(delivery, payment)
            return
        if payment.reference.kind is MoneyObject.SALE:
            await self._book_subscription_payment(organization_id, delivery, payment)
            return
        problem = await self.book_topup(organization_id, delivery.provider, payment)
        if problem is not None:
            await self._park(delivery, problem)

    async def _book_subscription_payment(self, organization_id: str, delivery: Delivery, payment: Payment) -> None:
        """What a migration has left, or did not come to, should not charge: a person is told, once for each payment."""
        id_, now = payment.reference.id, datetime.now(UTC)
        paid, at = payment.subscription_id or delivery.subscription_id or "", payment.occurred_at or now
        async with self._engine.begin() as conn:
            new = await payments.book_subscription_payment(conn, organization_id, delivery.provider, payment)
            await parking.note_outcome(conn, delivery.id, f"booked as {id_}")
            await parking.adopt_payment(conn, delivery.provider, id_, now)
            if not new and payment.subscription_id and await payments.credited(conn, delivery.provider, id_):
                detail = f"{id_} is credited as a top-up, and is a payment for subscription {payment.subscription_id}"
                await alerts.raise_(conn, organization_id, "payment_not_booked", detail)
            migration = await customer_migrations.not_to_charge(conn, organization_id, delivery.provider, paid, at)
            if not new or migration is None or payment.status is PaymentStatus.REFUNDED:
                return
            detail = (
                f"{delivery.provider.value} charged {payment.amount} for subscription {paid} at {at:%Y-%m-%d %H:%M} UTC"
                f" ({id_}), though the migration to {migration.target_provider.value} is {migration.state.value}"
            )
            await alerts.raise_(conn, organization_id, "charged_by_other", detail)

    async def settle_topups(self, organization_id: str, waiting: Sequence[TopUpCheckout]) -> None:
        """Ask how far open checkouts have come: whoever should tell us may not have. A provider that does not answer is
        asked again at the next look, and not once more in this one, which has other things to do.
        """
        silent: set[Provider] = set()
        for topup in waiting:
            provider = self._providers.get(topup.provider)
            if provider is None or topup.provider in silent:
                continue
            try:
                await self._settle_topup(provider, topup)
            except ProviderError as problem:
                if _is_silent(problem):
                    silent.add(topup.provider)
                    log.warning("topup_not_asked", organization_id=organization_id, problem=str(problem))
                else:
                    detail = f"checkout {topup.checkout_id}: {problem}"
                    await self._alert(organization_id, "payment_not_booked", detail)

    async def _settle_delivered(self, organization_id: str, provider: BillingProvider, checkout_id: str) -> None:
        """Only what was made here is captured here: the host application may take its own orders."""
        async with self._engine.connect() as conn:
            topup = await topups.find(conn, organization_id, provider.name, checkout_id)
        if topup is not None:
            await self._settle_topup(provider, topup)

    async def _settle_topup(self, provider: BillingProvider, topup: TopUpCheckout) -> None:
        told = await provider.settle_topup(topup.checkout_id)
        payment = told.payment
        if told.open or (payment is not None and payment.status in UNDECIDED):
            return
        paid = payment is not None and payment.status in PAID
        if payment is not None and paid:
            await self.book_topup(topup.organization_id, provider.name, payment)
        async with self._engine.begin() as conn:
            await topups.close(conn, topup, paid=paid)

    async def book_topup(self, organization_id: str, provider: Provider, payment: Payment) -> str | None:
        """Credit a captured payment, once, unless its payer has it all back; why not, if it could not be done: then an
        alert stands, too.
        """
        id_, now = payment.reference.id, datetime.now(UTC)
        if inbox.organization_named(payment.custom_id) != organization_id:
            await self._alert(organization_id, "payment_of_another", f"capture {id_}")
            return f"capture {id_} is not this organization's"
        async with self._engine.begin() as conn:
            if payment.status is PaymentStatus.REFUNDED:  # credited now, it could be spent before we hear of that
                await payments.note_returned(conn, organization_id, provider, payment)
                await parking.adopt_payment(conn, provider, id_, now)
                return None
            outcome = await payments.book_topup(conn, organization_id, provider, payment, now=now)
            if isinstance(outcome, Credited):
                await parking.adopt_payment(conn, provider, id_, now)
                return None
            await conn.rollback()
        await self._alert(organization_id, "payment_not_booked", f"capture {id_}")
        return f"capture {id_} of {payment.amount} could not be booked: {payments.in_words(outcome)}"

    async def _book_refund(self, organization_id: str, delivery: Delivery, told: Payment) -> None:
        if told.status is PaymentStatus.PENDING:
            await self._park_undecided(delivery, told)
            return
        taken_back = refunded(told, by_bank=delivery.kind is EventKind.REVERSED)
        if taken_back is None:
            detail = f"refund {told.reference.id} does not say of which payment, or whether it stands"
            await self._alert(organization_id, "refund", detail)
            await self._note_not_booked(delivery, told)
            return
        async with self._engine.begin() as conn:
            problem = await self._reverse(conn, organization_id, delivery, taken_back)
            await parking.note_reversal(conn, delivery, taken_back.id)
        if problem is not None:
            await self._park(delivery, problem)

    async def _settle_dispute(self, organization_id: str, delivery: Delivery, dispute: Dispute) -> None:
        now, by, problem = datetime.now(UTC), delivery.provider.value, None
        taken_back = disputed(dispute)
        async with self._engine.connect() as conn:
            owners = await payments.owners(conn, delivery.provider, dispute.payment_ids)
        if owners and organization_id not in owners:
            await self._let_go(organization_id, delivery, "payment_of_another", "it is about another one's payment")
            return
        async with self._engine.begin() as conn:
            if dispute.open:
                reason = f"{by} dispute {dispute.id}"
                block = standings.HeldBlock(kind=Block.DISPUTE, reference=dispute.id, reason=reason, placed_by=by)
                await folding.block(conn, organization_id, block, now=now)
            elif dispute.lost:
                await alerts.raise_(conn, organization_id, "dispute_lost", f"dispute {dispute.id}: the block stays")
            elif dispute.withdrawn is None:
                detail = f"dispute {dispute.id} is closed and does not say who won: the block stays"
                await alerts.raise_(conn, organization_id, "dispute_lost", detail)
            if taken_back is not None:
                problem = await self._reverse(conn, organization_id, delivery, taken_back)
            elif dispute.withdrawn:
                detail = f"dispute {dispute.id} does not say what it takes of which payment"
                await alerts.raise_(conn, organization_id, "refund", detail)
            if not dispute.open and dispute.withdrawn is False:
                await folding.unblock(conn, organization_id, Block.DISPUTE, dispute.id, by=by, now=now)
        if problem is not None:
            await self._park(delivery, problem)

    async def _reverse(
        self, conn: AsyncConnection, organization_id: str, delivery: Delivery, told: Reversal
    ) -> str | None:
        """Why it has to wait, if it has to."""
        try:
            async with conn.begin_nested():
                outcome = await reversals.book(conn, organization_id, delivery.provider, told, now=datetime.now(UTC))
        except NotBooked as problem:
            await alerts.raise_(conn, organization_id, "reversal_not_booked", f"{told.what} {told.id}: {problem}")
            return f"{told.what} {told.id} could not be booked: {problem}"
        match outcome:
            case UnknownPayment(payment_id=id_):
                return f"unknown payment {id_}, which {told.what} {told.id} takes back" if told.stands else None
            case OtherCurrency():
                detail = f"{told.what} {told.id} of {told.amount} is in another currency than its payment"
                await alerts.raise_(conn, organization_id, "refund", detail)
            case NeverCredited() if not told.stands:
                detail = f"{told.what} {told.id} does not stand, and payment {told.payment_id} was not credited for it"
                await alerts.raise_(conn, organization_id, "payment_not_booked", detail)
            case OfSubscription() if told.what != "dispute":
                detail = f"{told.what} {told.id} of a subscription payment: to be settled by a person"
                await alerts.raise_(conn, organization_id, "refund", detail)
            case reversals.Booked(counted=counted, told=whole) if told.stands and counted != whole:
                detail = f"{told.what} {told.id} of {whole}: {counted} of it is booked"
                await alerts.raise_(conn, organization_id, "refund", detail)
        other = None if told.stands else await reversals.twin(conn, organization_id, delivery.provider, told)
        if other is not None:
            detail = f"{told.what} {told.id} does not stand, {other} of the same amount does: was that given back, too?"
            await alerts.raise_(conn, organization_id, "refund", detail)
        return None

    async def _let_go(self, organization_id: str, delivery: Delivery, kind: str, why: str) -> None:
        """Of a dispute that only a webhook knows, which may be forged: it blocks nothing, and a person is told."""
        assert delivery.money is not None
        id_, by, now = delivery.money.id, delivery.provider.value, datetime.now(UTC)
        async with self._engine.begin() as conn:
            await folding.unblock(conn, organization_id, Block.DISPUTE, id_, by=by, now=now)
        await self._alert(organization_id, kind, f"dispute {id_}: {why}, so it blocks nothing")
        await self._park(delivery, f"dispute {id_}: {why}")

    async def _park_undecided(self, delivery: Delivery, told: Payment) -> None:
        """It is asked for again: PayPal has no event for a refund that was pending and is completed."""
        named = f"{told.reference.kind.value} {told.reference.id}"
        await self._park(delivery, f"unknown yet: {named} is {told.status.value}")

    async def _note_not_booked(self, delivery: Delivery, told: Payment) -> None:
        async with self._engine.begin() as conn:
            await parking.note_outcome(conn, delivery.id, f"not booked: {told.reference.id} is {told.status.value}")

    async def _park(self, delivery: Delivery, reason: str) -> None:
        async with self._engine.begin() as conn:
            await parking.park(conn, delivery.id, reason)
        log.warning("delivery_parked", event_id=delivery.event_id, event_type=delivery.event_type, reason=reason)

    async def _alert(self, organization_id: str, kind: str, detail: str) -> None:
        async with self._engine.begin() as conn:
            await alerts.raise_(conn, organization_id, kind, detail)


def _is_silent(problem: ProviderError) -> bool:
    """It may answer the next time; else it would say the same again."""
    return isinstance(problem, ProviderUnavailable) and problem.code != UNREADABLE
