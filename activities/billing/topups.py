"""Completes top-up checkouts and credits captured payments: each once, from a fresh GET."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import in_words
from activities.inbox.parking import Aside
from db.billing import payments, topups
from db.billing.topups import TopUpCheckout
from db.inbox import owners, parking
from db.inbox.deliveries import Delivery
from domain.alerts import AlertKind
from domain.billing.events import PAID_STATUSES, Payment, PaymentStatus
from domain.billing.subscription import Provider
from domain.wallet.ledger import Credited
from providers.billing import BillingProvider
from providers.errors import ProviderError, ProviderUnavailable

log = structlog.get_logger()
UNREADABLE = "UNREADABLE"
UNDECIDED = frozenset({PaymentStatus.PENDING, PaymentStatus.UNKNOWN})
STRIKES = 2
"""After this many consecutive failures a provider is not queried again in this pass."""


class ToppingUp:
    """Idempotent."""

    def __init__(
        self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider], aside: Aside
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._aside = aside

    async def settle(
        self,
        organization_id: str,
        waiting: Sequence[TopUpCheckout],
        *,
        silent: Mapping[Provider, Exception] | None = None,
        until: float = float("inf"),
    ) -> None:
        """Query the state of open checkouts, since their webhooks may be lost. A provider that
        fails twice in a row is skipped for the rest of this pass.
        """
        clock, strikes = (
            asyncio.get_running_loop(),
            Counter(dict.fromkeys(silent or (), STRIKES - 1)),
        )
        for topup in waiting:
            provider = self._providers.get(topup.provider)
            if provider is None or strikes[topup.provider] >= STRIKES or clock.time() >= until:
                continue
            try:
                await self._settle(provider, topup)
                strikes[topup.provider] = 0
            except Exception as problem:
                if isinstance(problem, ProviderError) and is_silent(problem):
                    strikes[topup.provider] += 1
                    log.warning(
                        "topup_query_failed", organization_id=organization_id, problem=str(problem)
                    )
                    continue
                log.warning(
                    "topup_settlement_failed", organization_id=organization_id, exc_info=problem
                )
                detail = f"checkout {topup.checkout_id}: {in_words(problem)}"
                await self._aside.alert(organization_id, AlertKind.PAYMENT_NOT_BOOKED, detail)

    async def settle_delivered(
        self, delivery: Delivery, organization_id: str, provider: BillingProvider
    ) -> None:
        """Captures only checkouts created here: the host application may have its own orders."""
        assert delivery.money is not None
        async with self._engine.connect() as conn:
            topup = await topups.find(conn, organization_id, provider.name, delivery.money.id)
        booked = None if topup is None else await self._settle(provider, topup)
        if booked is not None:
            await self._aside.note_outcome(delivery, f"booked as {booked.reference.id}")

    async def _settle(self, provider: BillingProvider, topup: TopUpCheckout) -> Payment | None:
        """The booked payment, or None."""
        checkout = await provider.settle_topup(topup.checkout_id)
        payment = checkout.payment
        if checkout.open or (payment is not None and payment.status in UNDECIDED):
            return None
        booked = None
        paid = payment is not None and payment.status in PAID_STATUSES
        if payment is not None and paid:
            problem = await self.book(topup.organization_id, provider.name, payment)
            booked = payment if problem is None else None
        async with self._engine.begin() as conn:
            payment_id = payment.reference.id if payment is not None and paid else None
            await topups.close(conn, topup, paid=paid, payment_id=payment_id)
        return booked

    async def book(self, organization_id: str, provider: Provider, payment: Payment) -> str | None:
        """Credit a captured payment once, unless it was fully refunded. If it cannot be booked,
        raises an alert and returns the reason.
        """
        kind, id_, now = payment.reference.kind.value, payment.reference.id, datetime.now(UTC)
        if owners.organization_named(payment.custom_id) != organization_id:
            await self._aside.alert(organization_id, AlertKind.PAYMENT_OF_ANOTHER, f"{kind} {id_}")
            return f"{kind} {id_} does not belong to this organization"
        async with self._engine.begin() as conn:
            # once credited, it could be spent before the refund is booked
            if payment.status is PaymentStatus.REFUNDED:
                await payments.note_returned(conn, organization_id, provider, payment)
                await parking.adopt_payment(conn, provider, id_, now)
                return None
            outcome = await payments.book_topup(conn, organization_id, provider, payment, now=now)
            if isinstance(outcome, Credited):
                await parking.adopt_payment(conn, provider, id_, now)
                return None
            await conn.rollback()
        await self._aside.alert(
            organization_id,
            AlertKind.PAYMENT_NOT_BOOKED,
            f"{kind} {id_}: {payments.in_words(outcome)}",
        )
        return f"{kind} {id_} of {payment.amount} could not be booked: {payments.in_words(outcome)}"


def is_silent(problem: ProviderError) -> bool:
    """Whether a later attempt may succeed; otherwise the answer would be the same."""
    return isinstance(problem, ProviderUnavailable) and problem.code != UNREADABLE
