"""A server that vanishes without closing its connections: its packets are dropped, nothing more is
received.
"""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime import database
from tests.integration.runtime.conftest import Remote
from tests.world import until

LIMIT = 60.0
"""Seconds after which a call that still hangs fails the test; without limits it hangs for hours."""


async def _ask(engine: AsyncEngine, statement: str) -> None:
    async with engine.connect() as conn:
        await conn.execute(text(statement))


async def test_calls_fail_soon_after_the_server_vanished(
    remote: Remote, engine: AsyncEngine
) -> None:
    far = database.create_engine(remote.url, pool_size=2)
    idle = await far.connect()
    await idle.execute(text("SELECT 1"))
    waiting = asyncio.create_task(_ask(far, "SELECT pg_sleep(9)"))
    sleeping = text("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")

    async def asleep() -> bool:
        async with engine.connect() as conn:
            return bool((await conn.execute(sleeping)).scalar())

    await until(asleep, "a statement waits for its answer")
    remote.vanish()

    async with asyncio.timeout(LIMIT):
        with pytest.raises(OperationalError) as sending:
            await idle.execute(text("SELECT 2"))
        with pytest.raises(OperationalError) as awaiting:
            await waiting
    await far.dispose(close=False)
    assert sending.value.connection_invalidated
    assert awaiting.value.connection_invalidated
