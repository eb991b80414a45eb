"""Parks deliveries that cannot be booked: visible, with a reason and an alert for an operator."""

from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import in_words
from db import alerts
from db.inbox import deliveries, parking
from db.inbox.deliveries import Delivery
from domain.alerts import AlertKind
from domain.billing.events import MoneyObject, Payment
from domain.money import Money

log = structlog.get_logger()
SURELY_THERE = timedelta(minutes=1)
"""This long after a genuine event the provider surely has the object, and Tollgate has what
preceded it.
"""
WAITS_LONG = timedelta(minutes=10)


class Aside:
    """Each method runs its own transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def park(self, delivery: Delivery, reason: str, amount: Money | None = None) -> None:
        async with self._engine.begin() as conn:
            await parking.park(conn, delivery.id, reason, amount)
        self._log(delivery, reason)

    async def park_undecided(self, delivery: Delivery, payment: Payment) -> None:
        """Query it again later: PayPal sends no event when a pending refund completes."""
        named = f"{payment.reference.kind.value} {payment.reference.id}"
        await self.park(
            delivery, f"{deliveries.UNDECIDED}{named} is {payment.status.value}", payment.amount
        )

    async def note_outcome(self, delivery: Delivery, outcome: str) -> None:
        async with self._engine.begin() as conn:
            await parking.note_outcome(conn, delivery.id, outcome)

    async def put_off(self, organization_id: str, delivery: Delivery, problem: Exception) -> None:
        """Retry it automatically, after seconds up to ten minutes; an alert is raised when that
        lasts.
        """
        reason = f"{name(delivery)}: {in_words(problem)}"[:300]
        async with self._engine.begin() as conn:
            await parking.put_off(conn, delivery.id, reason)
            if is_older(delivery, WAITS_LONG):
                await alerts.raise_(conn, organization_id, AlertKind.MONEY_WAITS, reason)
        self._log(delivery, reason)

    async def note_settled(self, organization_id: str) -> None:
        async with self._engine.begin() as conn:
            await parking.note_settled(conn, organization_id)

    async def hand_over(self, delivery: Delivery, owner: str) -> None:
        """Assign it to another organization, whose lifecycle the relay notifies."""
        async with self._engine.begin() as conn:
            await deliveries.assign(conn, delivery.id, owner, now=datetime.now(UTC))
        log.warning("delivery_reassigned", event_id=delivery.event_id, organization_id=owner)

    async def disown(self, delivery: Delivery, subscription_id: str | None = None) -> None:
        reason = f"unknown {name(delivery)}: it does not belong to the organization that it named"
        async with self._engine.begin() as conn:
            await parking.disown(conn, delivery.id, reason, subscription_id=subscription_id)
        self._log(delivery, reason)

    async def alert(self, organization_id: str, kind: AlertKind, detail: str) -> None:
        async with self._engine.begin() as conn:
            await alerts.raise_(conn, organization_id, kind, detail)

    async def alert_not_booked(self, organization_id: str, delivery: Delivery, why: str) -> None:
        taken_back = delivery.money is not None and delivery.money.kind in (
            MoneyObject.REFUND,
            MoneyObject.DISPUTE,
        )
        kind = AlertKind.REVERSAL_NOT_BOOKED if taken_back else AlertKind.PAYMENT_NOT_BOOKED
        await self.alert(organization_id, kind, why)

    def _log(self, delivery: Delivery, reason: str) -> None:
        log.warning(
            "delivery_parked",
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            reason=reason,
        )


def name(delivery: Delivery) -> str:
    return (
        f"{delivery.money.kind.value} {delivery.money.id}"
        if delivery.money
        else f"event {delivery.event_id}"
    )


def is_older(delivery: Delivery, age: timedelta) -> bool:
    return datetime.now(UTC) - delivery.received_at > age
