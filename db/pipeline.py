"""Saves round trips: statements whose results are not awaited are sent together, and reads need no
transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db import lost_sessions


@asynccontextmanager
async def together(conn: AsyncConnection) -> AsyncIterator[psycopg.AsyncConnection]:
    """Send the enclosed statements at once, in order, in the caller's transaction; yields psycopg's
    own connection.

    Through `conn`, only statements without rows; fetch rows from psycopg's cursors, which wait for
    them. The first failing statement raises at the end at the latest, as SQLAlchemy's error.
    """
    async with own(conn) as driver, driver.pipeline():
        yield driver


@asynccontextmanager
async def own(conn: AsyncConnection) -> AsyncIterator[psycopg.AsyncConnection]:
    """Psycopg's own connection, in the transaction of `conn`; its errors are raised as
    SQLAlchemy's.

    If the server is gone or was demoted, so are the other connections of the pool: they are
    dropped, as SQLAlchemy does.
    """
    if not conn.in_transaction():
        # otherwise its commit would do nothing: it does not see direct psycopg statements
        await conn.begin()
    raw = await conn.get_raw_connection()
    driver = cast("psycopg.AsyncConnection", raw.driver_connection)
    try:
        yield driver
    except psycopg.Error as problem:
        if lost_sessions.is_lost(problem):
            await driver.close()
        if driver.closed or driver.broken:
            with suppress(DBAPIError):
                await conn.exec_driver_sql("SELECT 1")  # lets SQLAlchemy notice
            raise lost_sessions.unavailable(problem) from problem
        raise DBAPIError.instance(
            None,
            None,
            problem,
            psycopg.Error,
            hide_parameters=True,
            dialect=conn.dialect,
        ) from problem


def reading(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for reads only: each statement sees what is committed, without any
    transaction.
    """
    return engine.execution_options(isolation_level="AUTOCOMMIT")
