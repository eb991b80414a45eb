"""Deletes attempts and settled deliveries that are old, and what is left of deleted endpoints."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

KEPT = timedelta(days=30)
SWEPT = 5_000
_SWEEP_ATTEMPTS = text(
    """
    DELETE FROM webhook_attempts WHERE id IN (
        SELECT id FROM webhook_attempts WHERE at < :before ORDER BY at LIMIT :limit
    )
    """
)
_SWEEP_DELIVERIES = text(
    """
    DELETE FROM webhook_deliveries WHERE position IN (
        SELECT position FROM webhook_deliveries WHERE settled_at < :before
        ORDER BY settled_at LIMIT :limit
    )
    """
)
_SWEEP_DELETED = text(
    """
    DELETE FROM webhook_deliveries WHERE position IN (
        SELECT d.position FROM webhook_endpoints e CROSS JOIN LATERAL (
            SELECT position FROM webhook_deliveries WHERE endpoint_id = e.id LIMIT :limit
        ) d WHERE e.status = 'deleted' LIMIT :limit
    )
    """
)
_SWEEP_QUEUES = text(
    """
    DELETE FROM webhook_queues q USING webhook_endpoints e
    WHERE e.id = q.endpoint_id AND e.status = 'deleted'
        AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.id)
    """
)
_SWEEP_ENDPOINTS = text(
    """
    DELETE FROM webhook_endpoints e WHERE status = 'deleted'
        AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.id)
        AND NOT EXISTS (SELECT FROM webhook_queues q WHERE q.endpoint_id = e.id)
    """
)


async def delete(conn: AsyncConnection, *, now: datetime) -> bool:
    """Delete a part of what is older than it is kept, and of endpoints that were deleted; the next
    call goes on. Returns whether more may be left. The caller commits.
    """
    old = {"before": now - KEPT, "limit": SWEPT}
    deleted = [
        (await conn.execute(_SWEEP_ATTEMPTS, old)).rowcount,
        (await conn.execute(_SWEEP_DELIVERIES, old)).rowcount,
        (await conn.execute(_SWEEP_DELETED, {"limit": SWEPT})).rowcount,
    ]
    await conn.execute(_SWEEP_QUEUES)
    await conn.execute(_SWEEP_ENDPOINTS)
    return SWEPT in deleted
