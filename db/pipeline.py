"""Writes that nobody has to wait for one by one go to PostgreSQL together, in one round trip."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection


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
