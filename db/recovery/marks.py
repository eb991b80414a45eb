"""The database's mark: a counter that processes advance every second, to notice a database that
was restored.
"""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.recovery.marks import Mark

READ = """
    SELECT m.installation, m.number, s.system_identifier AS server,
           ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer AS timeline,
           (SELECT reason FROM fences WHERE opened_at IS NULL) AS fence
    FROM database_marks m, pg_control_system() s WHERE NOT pg_is_in_recovery()
"""
"""No row on a standby, which nothing is written to."""
_READ = text(READ.replace(":", r"\:"))
_ADVANCE = text(
    """
    UPDATE database_marks
    SET number = number + 1, advanced_at = clock_timestamp(),
        installation = coalesce(installation, gen_random_uuid())
    WHERE installation IS NULL OR advanced_at < clock_timestamp() - interval '900 milliseconds'
       OR advanced_at > clock_timestamp()
    """
)


async def advance(conn: AsyncConnection) -> tuple[Mark, str | None] | None:
    """Advance the mark unless another process did so within the second; returns it, and why the
    fence is shut if it is. None on a standby. What is returned holds once the caller has committed.
    """
    await conn.execute(_ADVANCE)
    row = (await conn.execute(_READ)).one_or_none()
    return None if row is None else read(row)


def read(row: Any) -> tuple[Mark, str | None]:
    """The mark in a row of `READ`, and why the fence is shut."""
    installation, number, server, timeline, fence = row
    mark = Mark(installation=installation, number=number, server=server, timeline=timeline)
    return mark, fence
