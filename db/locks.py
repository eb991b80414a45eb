"""How long a sweep over many organizations waits for one of them: hardly, since all the others wait
behind it.
"""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_HURRY = text("SET LOCAL lock_timeout = '500ms'")


async def hurry(conn: AsyncConnection) -> None:
    """In this transaction a lock that somebody else holds for longer is an error (PostgreSQL's
    55P03).
    """
    await conn.execute(_HURRY)


def were_held(problem: DBAPIError) -> bool:
    """Whether it failed because somebody else held what it wanted."""
    return getattr(problem.orig, "sqlstate", None) == "55P03"
