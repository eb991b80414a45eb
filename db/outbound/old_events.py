"""Deletes old events, and moves the beginning of the log first: what happened before has no event
any more.
"""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

KEPT = timedelta(days=90)
SWEPT = 5_000
_OLD = """
    SELECT id FROM events e
    WHERE occurred_at < :before AND fanned_out AND NOT EXISTS (
        SELECT FROM webhook_deliveries d WHERE d.event_id = e.id AND d.status = 'pending')
    ORDER BY occurred_at LIMIT :limit
"""
_MOVE = text(
    f"UPDATE event_log_start SET at = :before WHERE at < :before AND EXISTS ({_OLD})"  # noqa: S608
)
_DELETE = text(f"DELETE FROM events WHERE id IN ({_OLD})")  # noqa: S608 - of constants


async def delete(conn: AsyncConnection, *, now: datetime) -> int:
    """Delete a part of the events that are older than they are kept, and neither to be placed nor
    to be delivered any more; returns how many. The caller commits.
    """
    old = {"before": now - KEPT, "limit": SWEPT}
    await conn.execute(_MOVE, old)
    return (await conn.execute(_DELETE, old)).rowcount
