"""Fewer round trips: writes whose results nobody reads go together, and reads alone need no transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


@asynccontextmanager
async def together(conn: AsyncConnection) -> AsyncIterator[None]:
    """Send what is executed inside at once; only for statements whose result is not read.

    They run in order, and in the caller's transaction. The first that fails raises at the end, as SQLAlchemy's error.
    """
    raw = await conn.get_raw_connection()
    driver = cast("psycopg.AsyncConnection", raw.driver_connection)
    try:
        async with driver.pipeline():
            yield
    except psycopg.Error as problem:
        dialect = conn.dialect
        raise DBAPIError.instance(
            None,
            None,
            problem,
            psycopg.Error,
            hide_parameters=True,
            dialect=dialect,
            connection_invalidated=dialect.is_disconnect(problem, None, None),  # type: ignore[arg-type]
        ) from problem


def reading(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for reads alone: each statement sees what is committed, and no transaction is begun or ended."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")
