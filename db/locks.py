"""How long a pass over many organizations waits for one of them: not long, because all others wait
behind it.
"""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_HURRY = text("SET LOCAL lock_timeout = '500ms'")


async def hurry(conn: AsyncConnection) -> None:
    """Make waiting longer for a lock an error (PostgreSQL's 55P03) in this transaction."""
    await conn.execute(_HURRY)


def were_held(problem: DBAPIError) -> bool:
    """Whether a statement failed because another transaction had locked what it needed."""
    return getattr(problem.orig, "sqlstate", None) == "55P03"
