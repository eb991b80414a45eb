"""What a connection pooler in front of PostgreSQL must preserve; rejects one that does not.

In transaction mode each transaction may run in another session. PgBouncer gives its clients a
process id of its own, which tells it from PostgreSQL.
"""

import psycopg
from psycopg import errors
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.pipeline import own
from runtime.database import SESSION_LIMITS_MS
from runtime.settings import BadSettings

UNSUPPORTED = "unsupported startup parameter"
"""How PgBouncer refuses parameters of a session that it does not know."""
NEEDED = (
    "PgBouncer 1.21 or later is needed, in transaction mode, with max_prepared_statements above 0"
)
_LIMITS = text(
    "SELECT name, setting::bigint, current_user FROM pg_settings WHERE name = ANY(:names)"
    " ORDER BY name"
)
# prepared, it finds its own name: psycopg's, or the one that the pooler gave it
_KEPT_NAME = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE '\\_pg3\\_%'"


async def check(conn: AsyncConnection) -> None:
    """Raise BadSettings for a pooler that loses prepared statements or the limits of a session."""
    async with own(conn) as driver:
        if not await _carries_prepared_statements(driver):
            raise BadSettings(
                "TOLLGATE_DATABASE_URL: a pooler is in front of PostgreSQL that loses prepared "
                f"statements: {NEEDED}"
            )
    found = (await conn.execute(_LIMITS, {"names": list(SESSION_LIMITS_MS)})).all()
    missing = [
        f'ALTER ROLE "{row.current_user}" SET {row.name} = {SESSION_LIMITS_MS[row.name]}'
        for row in found
        if not 0 < row.setting <= SESSION_LIMITS_MS[row.name]
    ]
    if missing:
        raise BadSettings(
            "TOLLGATE_DATABASE_URL: the pooler in front of PostgreSQL loses the limits of a "
            f"session, so the role must have them: {'; '.join(missing)}"
        )


def startup_remedy(refusal: str) -> str:
    """What to do if a pooler refuses a connection with this message; empty if it is another."""
    if UNSUPPORTED not in refusal:
        return ""
    return f" (set ignore_startup_parameters = options in PgBouncer's configuration; {NEEDED})"


async def _carries_prepared_statements(driver: psycopg.AsyncConnection) -> bool:
    [pid] = await (await driver.execute("SELECT pg_backend_pid()")).fetchone() or [None]
    if pid == driver.info.backend_pid:
        return True  # no pooler
    try:
        cursor = await driver.execute(_KEPT_NAME, prepare=True)
    except errors.DuplicatePreparedStatement:
        return False
    [kept] = await cursor.fetchone() or [1]
    return not kept
