"""Books the money that deliveries refer to: each fact once by its own id, read by a fresh GET,
never from the webhook's body.

Each delivery is booked on its own: a failing one is postponed and does not block the others.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.billing.reversals import Reversing
from activities.billing.topups import STRIKES, UNDECIDED, ToppingUp, is_silent
from activities.failures import in_words
from activities.inbox.parking import SURELY_THERE, Aside, is_older, name
from db import alerts
from db.billing import payments, subscriptions
from db.inbox import owners, parking
from db.inbox.deliveries import Delivery
from db.switching import switches
from domain.alerts import AlertKind
from domain.billing.events import PAID_STATUSES, MoneyObject, MoneyReference, Payment, PaymentStatus
from domain.billing.subscription import Provider
from providers.billing import BillingProvider
from providers.errors import NotFound, ProviderError, ProviderUnavailable

log = structlog.get_logger()
AROUND = timedelta(days=1)
"""How far around a payment's time a subscription's payments are searched."""


class Booking:
    """Idempotent. A delivery that cannot be booked is parked visibly and raises an alert."""

    def __init__(self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider]) -> None:
        self._engine = engine
        self._providers = providers
        self._aside = Aside(engine)
        self.topping_up = ToppingUp(engine, providers, self._aside)
        self._reversing = Reversing(engine, providers, self._aside)

    async def book(
        self,
        organization_id: str,
        deliveries: Sequence[Delivery],
        *,
        silent: Mapping[Provider, Exception] | None = None,
        until: float = float("inf"),
    ) -> list[Delivery]:
        """Book the deliveries; each is handled, parked or postponed. Returns those not started in
        time: none starts after `until`, by the event loop's clock.

        A provider that was `silent` about the subscription gets one attempt, others two.
        """
        clock, problems = asyncio.get_running_loop(), dict(silent or {})
        strikes = Counter(dict.fromkeys(problems, STRIKES - 1))
        for index, delivery in enumerate(deliveries):
            if clock.time() >= until:
                return list(deliveries[index:])
            if strikes[delivery.provider] >= STRIKES:
                await self._aside.put_off(organization_id, delivery, problems[delivery.provider])
                continue
            try:
                await self._book(organization_id, delivery)
                strikes[delivery.provider] = 0
            except ProviderUnavailable as problem:
                strikes[delivery.provider] += 1
                problems[delivery.provider] = problem
                await self._aside.put_off(organization_id, delivery, problem)
            except Exception as problem:
                log.exception(
                    "delivery_settlement_failed",
                    event_id=delivery.event_id,
                    organization_id=organization_id,
                )
                why = f"{name(delivery)}: {in_words(problem)}"
                await self._aside.alert_not_booked(organization_id, delivery, why)
                await self._aside.put_off(organization_id, delivery, problem)
        if deliveries:
            await self._aside.note_settled(organization_id)
        return []

    async def _book(self, organization_id: str, delivery: Delivery) -> None:
        provider, money = self._providers.get(delivery.provider), delivery.money
        if money is None:
            return
        if provider is None:
            why = f"{delivery.provider.value} is not set up here"
            await self._aside.alert_not_booked(
                organization_id, delivery, f"{name(delivery)}: {why}"
            )
            await self._aside.park(delivery, why)
            return
        try:
            match money.kind:
                case MoneyObject.DISPUTE:
                    dispute = await provider.get_dispute(money.id)
                    await self._reversing.settle_dispute(organization_id, delivery, dispute)
                case MoneyObject.REFUND:
                    refund = await provider.get_payment(money)
                    await self._reversing.book_refund(organization_id, delivery, refund)
                case MoneyObject.CHECKOUT:
                    await self.topping_up.settle_delivered(delivery, organization_id, provider)
                case _:
                    await self._book_payment(
                        organization_id, delivery, provider, await provider.get_payment(money)
                    )
        except ProviderError as problem:
            if is_silent(problem):
                raise
            await self._set_aside(organization_id, delivery, money, problem)

    async def _set_aside(
        self,
        organization_id: str,
        delivery: Delivery,
        money: MoneyReference,
        problem: ProviderError,
    ) -> None:
        """Park it and query it again later; alert an operator unless the object may only be too new
        to be found.
        """
        absent, old = isinstance(problem, NotFound), is_older(delivery, SURELY_THERE)
        if absent and old and money.kind is MoneyObject.DISPUTE:
            await self._reversing.let_go_unknown(organization_id, delivery)
            return
        why = f"{name(delivery)}: {'the provider does not have it' if absent else problem}"
        if old or not absent:
            await self._aside.alert_not_booked(organization_id, delivery, why)
        await self._aside.park(delivery, f"unknown {why}")

    async def _book_payment(
        self, organization_id: str, delivery: Delivery, provider: BillingProvider, payment: Payment
    ) -> None:
        kind, id_ = payment.reference.kind.value, payment.reference.id
        if payment.status is PaymentStatus.UNKNOWN:
            detail = f"{kind} {id_} has a status that Tollgate does not know"
            await self._aside.alert(organization_id, AlertKind.PAYMENT_NOT_BOOKED, detail)
        if payment.status in UNDECIDED:
            await self._aside.park_undecided(delivery, payment)
            return
        if payment.status not in PAID_STATUSES or not payment.amount.micros:
            status = payment.status.value if payment.amount.micros else "of nothing"
            await self._aside.note_outcome(delivery, f"not booked: {kind} {id_} is {status}")
            return
        if payment.reference.kind is MoneyObject.SALE and payment.subscription_id is None:
            payment = await self._with_subscription(organization_id, provider, payment)
        if not await self._is_its_own(organization_id, delivery, payment):
            return
        problem = await self._book_own(organization_id, delivery, payment)
        if problem is not None:
            await self._aside.park(delivery, problem, payment.amount)

    async def _is_its_own(self, organization_id: str, delivery: Delivery, payment: Payment) -> bool:
        """Otherwise reassign it to its owner, or disown it; an alert informs an operator."""
        kind, id_ = payment.reference.kind.value, payment.reference.id
        async with self._engine.connect() as conn:
            owner = await owners.find(
                conn,
                delivery.provider,
                subscription_ids=[payment.subscription_id],
                payment_ids=[id_],
                custom_ids=[payment.custom_id],
            )
        if owner == organization_id:
            return True
        by_customer = await self._owner_by_customer(delivery, payment) if owner is None else None
        if by_customer == organization_id:
            detail = (
                f"{kind} {id_} of {payment.amount} belongs to its customer: credit it manually if "
                "it is a top-up"
            )
            await self._aside.alert(organization_id, AlertKind.PAYMENT_NOT_BOOKED, detail)
            await self._aside.park(delivery, detail, payment.amount)
            return False
        owner = owner or by_customer
        detail = (
            f"{kind} {id_} of {payment.amount} does not belong to this organization, although a "
            "webhook named it"
        )
        await self._aside.alert(organization_id, AlertKind.PAYMENT_OF_ANOTHER, detail)
        if owner is not None:
            await self._aside.hand_over(delivery, owner)
        else:
            await self._aside.disown(delivery, payment.subscription_id)
        return False

    async def _owner_by_customer(self, delivery: Delivery, payment: Payment) -> str | None:
        """The organization named by a related object, such as the customer, when the payment itself
        names none.
        """
        clues = await self._providers[delivery.provider].trace(None, payment.reference, None)
        async with self._engine.connect() as conn:
            return await owners.find(
                conn,
                delivery.provider,
                subscription_ids=clues.subscription_ids,
                custom_ids=clues.custom_ids,
            )

    async def _book_own(
        self, organization_id: str, delivery: Delivery, payment: Payment
    ) -> str | None:
        """The reason why it has to wait, or None."""
        if payment.reference.kind is not MoneyObject.SALE:
            return await self.topping_up.book(organization_id, delivery.provider, payment)
        # a one-time payment in v1's form
        if payment.subscription_id is None and delivery.provider is Provider.PAYPAL:
            return await self.topping_up.book(organization_id, delivery.provider, payment)
        if payment.subscription_id is None:
            detail = (
                f"{payment.reference.id} of {payment.amount} names the organization but is not "
                "a subscription payment: credit it manually if it is a top-up"
            )
            await self._aside.alert(organization_id, AlertKind.PAYMENT_NOT_BOOKED, detail)
            return f"sale {detail}"
        async with self._engine.connect() as conn:
            subscription = await subscriptions.find(
                conn, delivery.provider, payment.subscription_id
            )
        if subscription is None:
            return (
                f"unknown subscription {payment.subscription_id}, paid by {name(delivery)} of "
                f"{payment.amount}"
            )
        await self._book_subscription_payment(
            organization_id, delivery, payment, payment.subscription_id
        )
        return None

    async def _with_subscription(
        self, organization_id: str, provider: BillingProvider, sale: Payment
    ) -> Payment:
        """PayPal has left out the subscription of a sale (paypal/PayPal-PHP-SDK#1201); the
        subscription still lists it.

        Taken for a payment made once, a subscription's payment would be credited.
        """
        at = sale.occurred_at or datetime.now(UTC)
        async with self._engine.connect() as conn:
            linked = await subscriptions.of_organization(conn, organization_id)
        for subscription in linked:
            if subscription.provider is not provider.name or (
                subscription.checkout_url is not None and subscription.confirmed_at is None
            ):
                continue
            async for paid in provider.list_payments(subscription.id, at - AROUND, at + AROUND):
                if paid.reference.id == sale.reference.id:
                    return replace(sale, subscription_id=subscription.id)
        return sale

    async def _book_subscription_payment(
        self, organization_id: str, delivery: Delivery, payment: Payment, paid: str
    ) -> None:
        """Alert once per payment when a subscription charges that the provider switch ended, or has
        not started.
        """
        id_, provider, now = payment.reference.id, delivery.provider, datetime.now(UTC)
        at = payment.occurred_at or now
        async with self._engine.begin() as conn:
            new = await payments.book_subscription_payment(conn, organization_id, provider, payment)
            await parking.note_outcome(conn, delivery.id, f"booked as {id_}")
            await parking.adopt_payment(conn, provider, id_, now)
            if not new and await payments.credited(conn, provider, id_):
                detail = f"{id_} was credited as a top-up but is a payment for subscription {paid}"
                await alerts.raise_(conn, organization_id, AlertKind.PAYMENT_NOT_BOOKED, detail)
            switch = await switches.not_to_charge(conn, organization_id, provider, paid, at)
            if not new or switch is None or payment.status is PaymentStatus.REFUNDED:
                return
            detail = (
                f"{provider.value} charged {payment.amount} for subscription {paid} at "
                f"{at:%Y-%m-%d %H:%M} UTC"
                f" ({id_}), although the switch to {switch.target_provider.value} is "
                f"{switch.state.value}"
            )
            await alerts.raise_(conn, organization_id, AlertKind.CHARGED_BY_OTHER, detail)
