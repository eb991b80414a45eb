"""What waits to be heard: organizations whose lifecycle has something to do and was not rung, or did not answer."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BEHIND_FOR = timedelta(seconds=30)

_DUE = text(
    """
    WITH due AS (
        SELECT id, organization_id FROM inbox
        WHERE status = 'unhandled' AND next_attempt_at <= :now
        ORDER BY next_attempt_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), rung AS (
        UPDATE inbox i SET attempts = attempts + 1,
            next_attempt_at = :now + least(interval '5 seconds' * (1 << least(attempts, 15)), interval '1 minute')
        FROM due WHERE i.id = due.id
    )
    SELECT DISTINCT organization_id FROM due
    """
)
_BEHIND = text(
    """
    WITH due AS (
        SELECT organization_id FROM standings
        WHERE (applied_epoch < epoch AND greatest(decided_at, rung_at) < :behind_since)
           OR (deadline <= :now AND coalesce(rung_at, '-infinity') < :behind_since)
        LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE standings s SET rung_at = :now FROM due WHERE s.organization_id = due.organization_id
    RETURNING s.organization_id
    """
)


async def organizations(conn: AsyncConnection, *, now: datetime, limit: int) -> list[str]:
    """Those to ring now; each is due again later, ever more rarely. The caller commits, then rings."""
    due = [row.organization_id for row in await conn.execute(_DUE, {"now": now, "limit": limit})]
    asked = {"now": now, "behind_since": now - BEHIND_FOR, "limit": limit}
    behind = [row.organization_id for row in await conn.execute(_BEHIND, asked)]
    return sorted({*due, *behind})
