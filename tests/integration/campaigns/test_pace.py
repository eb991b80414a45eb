"""Turns: one after the other, whoever takes them, and never accumulated."""

import asyncio
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import pace
from tests.builders import rows


async def take(engine: AsyncEngine, of: str, many: int, per_second: int) -> float:
    async with engine.begin() as conn:
        return await pace.take(conn, of, many, per_second=per_second)


async def test_turns_follow_each_other(engine: AsyncEngine) -> None:
    first = await take(engine, "acme", 100, 1)
    await asyncio.gather(*(take(engine, "acme", 100, 1) for _ in range(9)))
    last = await take(engine, "acme", 100, 1)

    assert first == 0
    assert 900 < last <= 1000  # after ten turns of a hundred seconds


async def test_one_pace_does_not_slow_down_another(engine: AsyncEngine) -> None:
    await take(engine, "acme", 1000, 1)

    assert await take(engine, "other", 1, 1) == 0
    assert await take(engine, pace.WHOLE_ACCOUNT, 1, 1) == 0


async def test_time_that_was_not_used_is_not_saved_up(engine: AsyncEngine) -> None:
    await take(engine, "acme", 1, 1000)
    async with engine.begin() as conn:
        # an hour without a message
        await conn.execute(text("UPDATE pace SET next_at = next_at - interval '1 hour'"))

    await take(engine, "acme", 60, 1)
    [row] = await rows(engine, "SELECT next_at - clock_timestamp() AS ahead FROM pace")

    assert timedelta(seconds=50) < row.ahead <= timedelta(seconds=60)
