"""Parked deliveries: of something that is not known yet, tried again until it is; or set aside for a person."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, case, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.inbox import FIRST_RETRY, LAST_RETRY, UNKNOWN, Delivery, InboxStatus, assign, backoff, organization_of, read
from db.tables import inbox, reversals
from domain.events import BillingEvent, EventKind
from domain.subscription import Provider, State, Word

_CLOSES = {
    EventKind.SUSPENDED.value: State.PAUSED,
    EventKind.PAUSED.value: State.PAUSED,
    EventKind.CANCELED.value: State.CANCELED,
    EventKind.EXPIRED.value: State.EXPIRED,
}
_BACKOFF = func.least(FIRST_RETRY * func.power(2, func.least(inbox.c.attempts, 20)), LAST_RETRY)


async def park(conn: AsyncConnection, delivery_id: int, reason: str) -> None:
    """Set it aside for a person; it stays in sight, and is tried again if `reason` says that something is unknown."""
    await conn.execute(
        update(inbox)
        .where(inbox.c.id == delivery_id)
        .values(status=InboxStatus.PARKED.value, outcome=reason, next_attempt_at=func.clock_timestamp() + _BACKOFF)
    )


async def note_outcome(conn: AsyncConnection, delivery_id: int, outcome: str) -> None:
    """What it comes to, in words, before it is handled. The caller commits."""
    await conn.execute(update(inbox).where(inbox.c.id == delivery_id).values(outcome=outcome))


async def note_reversal(conn: AsyncConnection, delivery: Delivery, object_id: str) -> None:
    """Whether what it tells was booked: what never stood, or was never in the wallet, is not. The caller commits."""
    booked = exists().where(reversals.c.provider == delivery.provider.value, reversals.c.object_id == object_id)
    outcome = case((booked, f"booked as {object_id}"), else_=f"not booked: {object_id} takes nothing")
    await conn.execute(update(inbox).where(inbox.c.id == delivery.id).values(outcome=outcome))


async def adopt(conn: AsyncConnection, *, now: datetime, limit: int = 100) -> list[str]:
    """Try again to find the organizations of parked deliveries; those found become unhandled. Returns their ids.

    Those are due to be rung at once. Skips rows that another process has in hand. Backs off from 5 s to 24 h. The
    caller commits.
    """
    query = (
        select(inbox)
        .where(inbox.c.status == InboxStatus.PARKED.value, inbox.c.next_attempt_at <= now)
        .where(inbox.c.outcome.startswith(UNKNOWN))
        .order_by(inbox.c.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found: list[str] = []
    for row in await conn.execute(query):
        later = {"attempts": row.attempts + 1, "next_attempt_at": now + backoff(row.attempts)}
        await conn.execute(update(inbox).where(inbox.c.id == row.id).values(**later))
        organization_id = await organization_of(conn, _event_again(row))
        if organization_id is not None:
            await assign(conn, row.id, organization_id, now=now)
            found.append(organization_id)
    return found


async def adopt_subscription(conn: AsyncConnection, provider: Provider, subscription_id: str, now: datetime) -> None:
    """A subscription was linked: what was parked for it is due now."""
    await _due(conn, provider, inbox.c.provider_subscription_id == subscription_id, now)


async def closing_word(
    conn: AsyncConnection, provider: Provider, subscription_id: str, *, since: datetime | None
) -> Word | None:
    """The newest of what parked deliveries told of a subscription before it was linked, if it closes."""
    query = (
        select(inbox.c.kind, inbox.c.occurred_at)
        .where(inbox.c.provider == provider.value, inbox.c.provider_subscription_id == subscription_id)
        .where(inbox.c.status == InboxStatus.PARKED.value, inbox.c.kind.in_(_CLOSES))
        .order_by(inbox.c.occurred_at.desc().nulls_first())
    )
    row = (await conn.execute(query.limit(1))).one_or_none()
    if row is None or (row.occurred_at is not None and since is not None and row.occurred_at < since):
        return None
    return Word(state=_CLOSES[row.kind], as_of=row.occurred_at)


async def adopt_payment(conn: AsyncConnection, provider: Provider, payment_id: str, now: datetime) -> None:
    """A payment was booked: what was parked that takes it back (a refund, a dispute) is due now."""
    await _due(conn, provider, inbox.c.payment_id == payment_id, now)


async def _due(conn: AsyncConnection, provider: Provider, those: ColumnElement[bool], now: datetime) -> None:
    await conn.execute(
        update(inbox)
        .where(inbox.c.provider == provider.value, those, inbox.c.status == InboxStatus.PARKED.value)
        .values(next_attempt_at=now)
    )


def _event_again(row: Row[Any]) -> BillingEvent:
    delivery = read(row)
    return BillingEvent(
        provider=delivery.provider,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        kind=delivery.kind,
        subscription_id=delivery.subscription_id,
        custom_id=row.custom_id,
        payment_id=row.payment_id,
        money=delivery.money,
    )
