"""The database's engine; limits every statement and every wait."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import sqlalchemy
from sqlalchemy import URL, event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from db import lost_sessions
from runtime import passwords

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
    passwords.ask_when_connecting(engine.sync_engine)
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
