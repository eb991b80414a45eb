"""Queues of deliveries, one for each endpoint and organization: only the oldest pending one of each
is attempted, by whoever has leased the queue.

A lease ends by itself: what a killed worker was delivering is delivered again, with the same id.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbound import endpoints
from db.outbound.endpoints import Secret
from domain.outbound.deliveries import UNWELL

HEADS = 10
"""Deliveries that one lease may take, one after the other."""
_CLAIM = text(
    """
    WITH busy AS MATERIALIZED (
        SELECT endpoint_id, count(*) AS queues FROM webhook_queues
        WHERE lease IS NOT NULL AND leased_until > :now GROUP BY endpoint_id
    ), chosen AS MATERIALIZED (
        SELECT due.endpoint_id, due.organization_id, e.url, e.failures
        FROM webhook_endpoints e LEFT JOIN busy ON busy.endpoint_id = e.id
        CROSS JOIN LATERAL (
            SELECT endpoint_id, organization_id, due_at FROM webhook_queues
            WHERE endpoint_id = e.id AND due_at <= :now AND (lease IS NULL OR leased_until <= :now)
            ORDER BY due_at
            LIMIT greatest(CASE WHEN e.failed_queues >= :unwell THEN 1 ELSE :each END - coalesce(busy.queues, 0), 0)
            FOR UPDATE SKIP LOCKED
        ) due
        WHERE e.status = 'enabled' AND (e.retry_at IS NULL OR e.retry_at <= :now)
            AND (:all OR e.id = ANY(:ids))
        ORDER BY due.due_at LIMIT :limit
    )
    UPDATE webhook_queues q SET lease = :lease, leased_until = :until FROM chosen
    WHERE q.endpoint_id = chosen.endpoint_id AND q.organization_id = chosen.organization_id
    RETURNING q.endpoint_id, q.organization_id, chosen.url, chosen.failures
    """
)
_HEADS = text(
    """
    SELECT d.*, e.id IS NOT NULL AS is_kept, e.type, e.occurred_at, e.organization_id AS about, e.data
    FROM unnest(cast(:endpoints AS text[]), cast(:organizations AS text[])) AS q (endpoint_id, organization_id)
    CROSS JOIN LATERAL (
        SELECT endpoint_id, organization_id, position, event_id, attempts FROM webhook_deliveries d
        WHERE d.endpoint_id = q.endpoint_id AND d.organization_id = q.organization_id AND status = 'pending'
        ORDER BY position LIMIT :heads
    ) d LEFT JOIN events e ON e.id = d.event_id
    ORDER BY d.position
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A delivery with its event; `is_kept` is False if the event was deleted meanwhile."""

    endpoint_id: str
    organization_id: str
    position: int
    attempts: int
    event_id: str
    is_kept: bool
    type: str
    occurred_at: datetime
    about: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A queue that is ours until `until`; `organization_id` is empty for the installation, `failures`
    are those of the endpoint.
    """

    endpoint_id: str
    organization_id: str
    url: str
    failures: int
    lease: UUID
    until: datetime
    heads: tuple[Head, ...]
    secrets: tuple[Secret, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`position` is that of the delivery; None for a test. `answer` is its beginning."""

    endpoint_id: str
    position: int | None
    event_id: str
    at: datetime
    status: int | None
    latency_ms: int
    answer: str
    reason: str


async def claim(
    conn: AsyncConnection,
    lease: UUID,
    *,
    now: datetime,
    period: timedelta,
    endpoint_ids: Collection[str] | None = None,
    each: int,
    limit: int,
) -> list[Leased]:
    """Lease queues that are due, at most `each` of an endpoint by all workers together, and one of
    an endpoint that is unwell. The caller commits.
    """
    params = {
        "now": now,
        "until": now + period,
        "lease": lease,
        "unwell": UNWELL,
        "each": each,
        "limit": limit,
        "all": endpoint_ids is None,
        "ids": list(endpoint_ids or ()),
    }
    rows = (await conn.execute(_CLAIM, params)).all()
    if not rows:
        return []
    heads = await _heads(conn, rows)
    secrets = await endpoints.valid_secrets(conn, list({row.endpoint_id for row in rows}), now=now)
    return [
        Leased(
            endpoint_id=row.endpoint_id,
            organization_id=row.organization_id,
            url=row.url,
            failures=row.failures,
            lease=lease,
            until=now + period,
            heads=tuple(heads.get((row.endpoint_id, row.organization_id), ())),
            secrets=tuple(secrets[row.endpoint_id]),
        )
        for row in rows
    ]


async def _heads(
    conn: AsyncConnection, rows: Collection[Row[Any]]
) -> dict[tuple[str, str], list[Head]]:
    params = {
        "endpoints": [row.endpoint_id for row in rows],
        "organizations": [row.organization_id for row in rows],
        "heads": HEADS,
    }
    found: dict[tuple[str, str], list[Head]] = {}
    for row in await conn.execute(_HEADS, params):
        head = Head(**row._mapping)  # noqa: SLF001 - SQLAlchemy's way to read a row by its names
        found.setdefault((head.endpoint_id, head.organization_id), []).append(head)
    return found
