"""Tells of deadlines that are near, each once."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import log
from domain.events.catalogue import EventType

WARNED_BEFORE = timedelta(days=1)
_TOLD = log.appending_sql(
    EventType.ORGANIZATION_GRACE_ENDING, "warned", "organization_id", {"deadline": "deadline"}
)
_WARN = text(
    f"""
    WITH due AS (
        SELECT organization_id, deadline FROM standings
        WHERE deadline > :now AND deadline <= :until AND warned_of IS DISTINCT FROM deadline
        ORDER BY deadline LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), warned AS (
        UPDATE standings s SET warned_of = due.deadline FROM due WHERE s.organization_id = due.organization_id
        RETURNING s.organization_id, s.deadline
    )
    {_TOLD}
    """  # noqa: S608 - of constants
)


async def warn(conn: AsyncConnection, *, now: datetime) -> None:
    """Tell each deadline that is at most a day away, once. A locked standing is told later. The
    caller commits.
    """
    await conn.execute(_WARN, {"now": now, "until": now + WARNED_BEFORE})
