"""Looks again for the organizations of parked deliveries."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.inbox import owners
from db.inbox.deliveries import UNKNOWN, assign, read
from db.inbox.parking import BACKOFF, PARKED, Parked, parked
from db.tables.columns import written
from db.tables.inbox import inbox
from domain.billing.events import BillingEvent
from domain.billing.subscription import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """`assigned` are the organizations whose deliveries are unhandled now; the owner of `lost`
    deliveries is in none of our rows.
    """

    assigned: list[str]
    lost: list[Parked]


async def adopt(
    conn: AsyncConnection, *, now: datetime, limit: int = 100, provider: Provider | None = None
) -> Adopted:
    """Look again for the organizations of parked deliveries; deliveries with an owner become
    unhandled.

    Their lifecycles are due to be notified at once. Skips rows that another process has locked.
    Backs off from 5 s to 24 h. The caller commits. `provider`: only of this one.
    """
    query = (
        select(inbox)
        .where(PARKED, inbox.c.next_attempt_at <= now)
        .where(inbox.c.outcome.like(written(f"{UNKNOWN}%")))
        .order_by(inbox.c.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if provider is not None:
        query = query.where(inbox.c.provider == written(provider.value))
    adopted = Adopted(assigned=[], lost=[])
    for row in await conn.execute(query):
        again = {"attempts": inbox.c.attempts + 1, "next_attempt_at": now + BACKOFF}
        await conn.execute(update(inbox).where(inbox.c.id == row.id).values(again))
        organization_id = row.organization_id or await owners.of_event(conn, _event_again(row))
        if organization_id is not None:
            await assign(conn, row.id, organization_id, now=now)
            adopted.assigned.append(organization_id)
        else:
            adopted.lost.append(parked(row))
    return adopted


async def hasten(conn: AsyncConnection, *, now: datetime) -> None:
    """Make all that `adopt` looks at due, whatever they have waited. The caller commits."""
    waits = inbox.c.outcome.like(written(f"{UNKNOWN}%")) & (inbox.c.next_attempt_at > now)
    await conn.execute(update(inbox).where(PARKED, waits).values(next_attempt_at=now))


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
