"""Turns: one after the other, whoever takes them, and never accumulated."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.campaigns.pacing import Pacing
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


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def test_a_thousand_senders_share_a_few_statements(engine: AsyncEngine) -> None:
    pacing = Pacing(engine)

    with statements(engine) as executed:
        of_the_account = await asyncio.gather(
            *(pacing.take(pace.WHOLE_ACCOUNT, 1, per_second=1) for _ in range(1000))
        )
        of_organizations = await asyncio.gather(
            *(pacing.take(f"organization-{n}", 1, per_second=1) for n in range(1000))
        )

    assert len(executed) <= 4  # the first caller's alone, and the others' together, of each kind
    assert sorted(of_the_account) == of_the_account  # in the order in which they asked
    assert 998 < of_the_account[-1] <= 999
    assert set(of_organizations) == {0.0}


async def test_several_processes_together_keep_the_pace(engine: AsyncEngine) -> None:
    processes = [Pacing(engine) for _ in range(4)]

    begin_in = await asyncio.gather(
        *(processes[n % 4].take("acme", 10, per_second=1) for n in range(100))
    )
    ordered = sorted(begin_in)

    # whoever read its answer later sees a turn nearer, by less than a turn's length
    assert all(9 < later - earlier < 11 for earlier, later in pairwise(ordered))


async def test_a_sender_that_is_gone_takes_no_turn(engine: AsyncEngine) -> None:
    pacing = Pacing(engine)
    first, gone, last = [
        asyncio.create_task(pacing.take("acme", 100, per_second=1)) for _ in range(3)
    ]
    await asyncio.sleep(0)
    gone.cancel()

    assert await first == 0
    assert 99 < await last <= 100


async def test_every_sender_that_waits_hears_of_a_failure_and_the_next_one_goes_on(
    engine: AsyncEngine,
) -> None:
    pacing = Pacing(engine)
    async with engine.begin() as conn:
        await conn.execute(text("ALTER TABLE pace RENAME TO gone"))

    failures = await asyncio.gather(
        *(pacing.take("acme", 1, per_second=1) for _ in range(3)), return_exceptions=True
    )
    async with engine.begin() as conn:
        await conn.execute(text("ALTER TABLE gone RENAME TO pace"))

    assert all(isinstance(failure, SQLAlchemyError) for failure in failures)
    assert await pacing.take("acme", 1, per_second=1) == 0


@pytest.mark.parametrize("turns", [[3, 2], [1, 1, 1]])
async def test_turns_taken_together_begin_where_those_taken_alone_would(
    engine: AsyncEngine, turns: list[int]
) -> None:
    alone = [await take(engine, "alone", many * 100, 1) for many in turns]
    pacing = Pacing(engine)

    together = await asyncio.gather(
        *(pacing.take("together", many * 100, per_second=1) for many in turns)
    )

    assert together == pytest.approx(alone, abs=5)
