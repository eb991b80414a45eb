"""Deliveries and their attempts: read, and queued again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbound import fan_out
from db.outbound.queues import Attempt
from db.tables.events import events
from db.tables.outbound import webhook_attempts, webhook_deliveries, webhook_queues

REPLAYED = 10_000
"""Events that one replay queues."""
_AGAIN = text(
    """
    WITH placed AS (
        INSERT INTO webhook_deliveries (endpoint_id, organization_id, event_id)
        VALUES (:endpoint_id, :organization_id, :event_id) RETURNING position
    ), queued AS (
        INSERT INTO webhook_queues AS q (endpoint_id, organization_id, due_at)
        VALUES (:endpoint_id, :organization_id, clock_timestamp())
        ON CONFLICT (endpoint_id, organization_id)
        DO UPDATE SET due_at = coalesce(q.due_at, excluded.due_at)
    )
    SELECT position FROM placed
    """
)
_NOW = text(
    """
    UPDATE webhook_queues SET due_at = least(due_at, clock_timestamp())
    WHERE endpoint_id = :endpoint_id AND organization_id = :organization_id AND due_at IS NOT NULL
    """
)
_ALL_NOW = text(
    """
    UPDATE webhook_queues SET due_at = least(due_at, clock_timestamp())
    WHERE endpoint_id = :endpoint_id AND due_at IS NOT NULL
    """
)
_AT_ONCE = text("UPDATE webhook_endpoints SET retry_at = NULL WHERE id = :endpoint_id")
_REPLAY = text(
    """
    WITH wanted AS MATERIALIZED (
        SELECT e.id, e.sequence, coalesce(e.organization_id, '') AS organization_id
        FROM events e, (SELECT types, organization_ids FROM webhook_endpoints WHERE id = :endpoint_id) w
        WHERE fanned_out AND e.sequence > :after AND e.occurred_at >= :since
            AND (w.types = '{}' AND e.type <> ALL(:opt_in) OR e.type = ANY(w.types))
            AND (w.organization_ids = '{}' OR e.organization_id = ANY(w.organization_ids))
            AND NOT EXISTS (
                SELECT FROM webhook_deliveries d
                WHERE d.event_id = e.id AND d.endpoint_id = :endpoint_id AND d.status = 'pending'
            )
        ORDER BY e.sequence LIMIT :limit
    ), placed AS (
        INSERT INTO webhook_deliveries (endpoint_id, organization_id, event_id)
        SELECT :endpoint_id, organization_id, id FROM wanted ORDER BY sequence
    ), queued AS (
        INSERT INTO webhook_queues AS q (endpoint_id, organization_id, due_at)
        SELECT :endpoint_id, organization_id, clock_timestamp() FROM wanted GROUP BY 1, 2 ORDER BY 2
        ON CONFLICT (endpoint_id, organization_id)
        DO UPDATE SET due_at = coalesce(q.due_at, excluded.due_at)
    )
    SELECT count(*) AS events, (SELECT id FROM wanted ORDER BY sequence DESC LIMIT 1) AS last FROM wanted
    """
)
_SKIP = text(
    """
    UPDATE webhook_deliveries SET status = 'skipped', settled_at = :now
    WHERE endpoint_id = :endpoint_id AND status = 'pending'
    """
)
_LOCK_QUEUES = text(
    """
    WITH locked AS MATERIALIZED (
        SELECT organization_id FROM webhook_queues WHERE endpoint_id = :endpoint_id
        ORDER BY organization_id FOR UPDATE
    )
    SELECT count(*) FROM locked
    """
)
_IDLE = text(
    """
    UPDATE webhook_queues SET due_at = NULL, lease = NULL, leased_until = NULL
    WHERE endpoint_id = :endpoint_id
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`type` is None if the event is no longer kept. `due_at` is of the oldest pending delivery of
    its queue.
    """

    position: int
    endpoint_id: str
    organization_id: str | None
    event_id: str
    type: str | None
    status: str
    attempts: int
    created_at: datetime
    settled_at: datetime | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    events: int
    last_event_id: str | None

    @property
    def more(self) -> bool:
        return self.events == REPLAYED


async def page(
    conn: AsyncConnection,
    endpoint_id: str,
    *,
    status: str | None = None,
    organization_id: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """The newest first; those before a position, if one is given."""
    query = _deliveries().where(webhook_deliveries.c.endpoint_id == endpoint_id)
    if status is not None:
        query = query.where(webhook_deliveries.c.status == status)
    if organization_id is not None:
        query = query.where(webhook_deliveries.c.organization_id == organization_id)
    if before is not None:
        query = query.where(webhook_deliveries.c.position < before)
    query = query.order_by(webhook_deliveries.c.position.desc()).limit(limit)
    return [_delivery(row) for row in await conn.execute(query)]


async def get(conn: AsyncConnection, endpoint_id: str, position: int) -> Delivery | None:
    query = _deliveries().where(
        webhook_deliveries.c.endpoint_id == endpoint_id, webhook_deliveries.c.position == position
    )
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else _delivery(row)


async def attempts(conn: AsyncConnection, position: int) -> list[Attempt]:
    """Of a delivery, the oldest first."""
    query = (
        select(webhook_attempts)
        .where(webhook_attempts.c.position == position)
        .order_by(webhook_attempts.c.id)
    )
    return [
        Attempt(
            endpoint_id=row.endpoint_id,
            position=row.position,
            event_id=row.event_id,
            at=row.at,
            status=row.status,
            latency_ms=row.latency_ms,
            answer=row.answer,
            reason=row.reason,
        )
        for row in await conn.execute(query)
    ]


async def again(conn: AsyncConnection, delivery: Delivery) -> int:
    """Attempt a pending delivery now, or queue a settled one behind what waits; returns the position
    of the delivery. The caller commits.
    """
    params = {
        "endpoint_id": delivery.endpoint_id,
        "organization_id": delivery.organization_id or "",
        "event_id": delivery.event_id,
    }
    if delivery.status == "pending":
        await conn.execute(_NOW, params)
        await conn.execute(_AT_ONCE, params)
        return delivery.position
    await fan_out.take_turn(conn)
    return int((await conn.execute(_AGAIN, params)).scalar_one())


async def replay(
    conn: AsyncConnection, endpoint_id: str, *, since: datetime, after: int
) -> Replayed:
    """Queue the events since then, behind the one with this sequence, that the endpoint wants and
    that do not wait already. The caller commits at once.
    """
    await fan_out.take_turn(conn)
    params = {
        "endpoint_id": endpoint_id,
        "since": since,
        "after": after,
        "opt_in": fan_out.OPT_IN,
        "limit": REPLAYED,
    }
    row = (await conn.execute(_REPLAY, params)).one()
    return Replayed(events=row.events, last_event_id=row.last)


async def sequence_of(conn: AsyncConnection, event_id: str) -> int | None:
    """Where an event stands in the log; None if it is not kept."""
    query = select(events.c.sequence).where(events.c.id == event_id)
    return (await conn.execute(query)).scalar_one_or_none()


async def skip_pending(conn: AsyncConnection, endpoint_id: str, *, now: datetime) -> int:
    """Give up what waits for an endpoint; returns how much that was. The caller commits."""
    await fan_out.take_turn(conn)
    await conn.execute(_LOCK_QUEUES, {"endpoint_id": endpoint_id})
    skipped = await conn.execute(_SKIP, {"endpoint_id": endpoint_id, "now": now})
    await conn.execute(_IDLE, {"endpoint_id": endpoint_id})
    return skipped.rowcount


async def make_due(conn: AsyncConnection, endpoint_id: str) -> None:
    """Attempt now what waits for its next attempt. The caller commits."""
    await conn.execute(_LOCK_QUEUES, {"endpoint_id": endpoint_id})
    await conn.execute(_ALL_NOW, {"endpoint_id": endpoint_id})


def _deliveries() -> Select[Any]:
    queue = webhook_queues.c
    return (
        select(webhook_deliveries, events.c.type, queue.due_at)
        .outerjoin(events, events.c.id == webhook_deliveries.c.event_id)
        .outerjoin(
            webhook_queues,
            (queue.endpoint_id == webhook_deliveries.c.endpoint_id)
            & (queue.organization_id == webhook_deliveries.c.organization_id)
            & (webhook_deliveries.c.status == "pending"),
        )
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        position=row.position,
        endpoint_id=row.endpoint_id,
        organization_id=row.organization_id or None,
        event_id=row.event_id,
        type=row.type,
        status=row.status,
        attempts=row.attempts,
        created_at=row.created_at,
        settled_at=row.settled_at,
        due_at=row.due_at,
    )
