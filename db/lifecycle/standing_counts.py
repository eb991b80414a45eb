"""The number of organizations in each status, without reading them all.

A trigger adds a row for each change of a standing. Rows are only ever added and added up, so that
no change waits for another.
"""

from collections.abc import Mapping

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.lifecycle import standing_counts
from domain.lifecycle.standing import Status

_READ = select(standing_counts.c.status, func.sum(standing_counts.c.number).label("number"))
_ADD_UP = text("""
    WITH single AS (
        DELETE FROM standing_counts WHERE id IN (
            SELECT id FROM standing_counts WHERE (SELECT count(*) FROM standing_counts) > :at_most
            FOR UPDATE SKIP LOCKED)
        RETURNING status, number
    )
    INSERT INTO standing_counts (status, number) SELECT status, sum(number) FROM single GROUP BY status
""")
AT_MOST = 100


async def read(conn: AsyncConnection) -> Mapping[Status, int]:
    rows = await conn.execute(_READ.group_by(standing_counts.c.status))
    return dict.fromkeys(Status, 0) | {Status(row.status): int(row.number) for row in rows}


async def add_up(conn: AsyncConnection) -> None:
    """Replace many rows by one of each status. The caller commits."""
    await conn.execute(_ADD_UP, {"at_most": AT_MOST})
