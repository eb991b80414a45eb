"""The database's mark: a counter that processes advance every second, to notice a database that
was restored.
"""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.recovery.marks import Mark

_COLUMNS = """
    s.system_identifier AS server,
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer AS timeline,
    m.advanced_at, m.accepted, (SELECT reason FROM fences WHERE opened_at IS NULL) AS fence
"""
READ = f"""
    SELECT m.installation, m.number, {_COLUMNS}
    FROM database_marks m, pg_control_system() s WHERE NOT pg_is_in_recovery()
"""  # noqa: S608 - of constants
"""No row on a standby, which nothing is written to."""
_ADVANCE = text(
    f"""
    WITH advanced AS (
        UPDATE database_marks
        SET number = number + 1, advanced_at = clock_timestamp(),
            installation = coalesce(installation, gen_random_uuid())
        WHERE installation IS NULL OR advanced_at < clock_timestamp() - interval '900 milliseconds'
           OR advanced_at > clock_timestamp()
        RETURNING installation, number
    )
    SELECT coalesce(a.installation, m.installation), coalesce(a.number, m.number), {_COLUMNS}
    FROM pg_control_system() s, database_marks m LEFT JOIN advanced a ON true
    """.replace("::", r"\:\:")  # noqa: S608 - of constants
)


_ACCEPT = text(
    """
    WITH opened AS (SELECT greatest(number + 1, 2 * ceil(extract(epoch FROM clock_timestamp()))) AS at
                    FROM database_marks)
    UPDATE database_marks SET number = opened.at, accepted = opened.at FROM opened
    """
)


async def accept(conn: AsyncConnection) -> tuple[Mark, str | None]:
    """Take the database as it is: its mark moves past each that was reached before. Counting from 0
    by at most 1.2 a second, no mark gets to twice the seconds since 1970. The caller commits.
    """
    await conn.execute(_ACCEPT)
    return read((await conn.execute(_ADVANCE)).one())


async def advance(conn: AsyncConnection) -> tuple[Mark, str | None]:
    """Advance the mark unless another process did so within the second; returns it, and why the
    fence is shut if it is. What is returned holds once the caller has committed.
    """
    mark, fence = read((await conn.execute(_ADVANCE)).one())
    if mark.installation is None:  # another process named it while this statement waited
        mark, fence = read((await conn.execute(_ADVANCE)).one())
    return mark, fence


def read(row: Any) -> tuple[Mark, str | None]:
    """The mark in a row of `READ`, and why the fence is shut."""
    installation, number, server, timeline, last_used, accepted, fence = row
    mark = Mark(
        installation=installation,
        number=number,
        server=server,
        timeline=timeline,
        last_used=last_used,
        accepted=accepted,
    )
    return mark, fence
