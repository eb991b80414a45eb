"""The database's engine and its migrations; limits every statement and every wait."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import sqlalchemy
from sqlalchemy import URL, event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from db import lost_sessions

if TYPE_CHECKING:
    from alembic.config import Config

SESSION_LIMITS_MS: Mapping[str, int] = MappingProxyType(
    {
        "statement_timeout": 10_000,
        "lock_timeout": 5_000,
        # a process that stands still in a transaction does not keep its locks
        "idle_in_transaction_session_timeout": 60_000,
    }
)
NETWORK_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "connect_timeout": 10,
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
)
"""libpq's parameters: a server that vanishes without closing its connections is noticed within some
ten seconds, whether a statement was being sent or its answer was awaited. The URL overrides them.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""
IDLE_SECONDS = 5.0
_MIGRATIONS = Path(__file__).parent.parent / "db" / "migrations"
_MIGRATION_LOCK = (
    0x70_6C_6C_67_61_74_65  # any number, as long as every version of Tollgate uses the same
)


def create_engine(
    url: str | URL, pool_size: int, application_name: str = "tollgate"
) -> AsyncEngine:
    """An engine with at most `pool_size` connections: a caller waits ten seconds for a free one,
    then fails.

    Statements and lock waits end in PostgreSQL itself, before the timeout of the activity or
    request.
    """
    url = make_url(url)
    # such as a search_path: it applies here as in `migrate`
    named = url.normalized_query.get("options", ())
    limits = [f"-c {name}={value}" for name, value in SESSION_LIMITS_MS.items()]
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,  # errors are logged, and parameters hold phone numbers
        connect_args={
            **network_limits(url),
            "options": " ".join([*named, *limits]),
            "application_name": application_name,
            "client_encoding": "utf8",
        },
    )
    _ping_what_was_idle(engine.sync_engine)
    lost_sessions.drop_lost(engine.sync_engine)
    return engine


def network_limits(url: URL) -> dict[str, int]:
    """Those of `NETWORK_LIMITS` that the URL does not set itself."""
    return {name: value for name, value in NETWORK_LIMITS.items() if name not in url.query}


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A read-only connection with one snapshot for all its statements.

    Needed to read one thing in several statements: a suspension that commits in between would be
    half visible.
    """
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield conn
        await conn.commit()  # psycopg forgets a connection's prepared statements at a rollback


def _ping_what_was_idle(engine: sqlalchemy.Engine) -> None:
    """Test a connection before use if it was idle for a while.

    A server that restarts under load costs one error, after which the pool drops all its
    connections.
    """

    @event.listens_for(engine, "checkin")
    def note(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ping(
        connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        if time.monotonic() - record.info.get("used_at", time.monotonic()) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as problem:
            raise DisconnectionError from problem


def migrate(url: str, revision: str = "head") -> str:
    """Migrate the schema to `revision` in one transaction; returns its revision. Two processes may
    call it at once.

    A table that another transaction holds, such as a long `certify`, is waited for briefly: all
    requests to it would queue behind. Then nothing is migrated (PostgreSQL's lock_not_available).
    Raises Alembic's CommandError for a revision unknown to this build, requested or found.
    """
    from alembic import command  # noqa: PLC0415 - it takes a tenth of a second, and few commands migrate

    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.NullPool, connect_args=network_limits(make_url(url))
    )
    with engine.begin() as connection:
        # the role may have limits of its own; another process that migrates is waited for
        connection.execute(sqlalchemy.text("SET LOCAL statement_timeout = 0"))
        connection.execute(sqlalchemy.text("SET LOCAL lock_timeout = 0"))
        connection.execute(
            sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_MIGRATION_LOCK))
        )
        limit = SESSION_LIMITS_MS["lock_timeout"]
        connection.execute(sqlalchemy.text(f"SET LOCAL lock_timeout = {limit}"))
        command.upgrade(alembic_config(url, connection), revision)
        return str(
            connection.execute(
                sqlalchemy.text("SELECT version_num FROM alembic_version")
            ).scalar_one()
        )


def known_revisions() -> list[str]:
    """The revisions of this build, oldest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    script = ScriptDirectory.from_config(alembic_config("postgresql://"))
    return [each.revision for each in script.walk_revisions()][::-1]


def alembic_config(url: str, connection: sqlalchemy.Connection | None = None) -> "Config":
    """`env.py` uses `attributes["connection"]` if there is one, otherwise it connects to
    `sqlalchemy.url`.
    """
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config
