"""One transaction on the database of a command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from cli.schema import configured, database_url
from runtime.database import create_engine

T = TypeVar("T")


def run(work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """The work's result. It is committed unless the work raises."""
    with database_url(configured()) as url:
        return asyncio.run(in_transaction(url, work))


async def in_transaction(url: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    engine = create_engine(url, pool_size=1, application_name="tollgate command")
    try:
        async with engine.begin() as conn:
            return await work(conn)
    finally:
        await engine.dispose()
