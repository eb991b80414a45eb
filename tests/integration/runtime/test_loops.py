"""Endless loops: any exception of a step is reported, and the step is tried again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.alerts import INSTALLATION, raise_
from db.audit import figures
from db.campaigns.callbacks import SubaccountCallback
from domain.alerts import AlertKind
from domain.wallet.entries import credit
from runtime.callback_batcher import Callbacks
from runtime.coalescer import Coalescer
from runtime.loops import PATIENCE, Loop
from tests import builders
from tests.builders import onboard, usd
from tests.world import until


class Step:
    """Raises each of `failures` in turn, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.successes = 0

    async def __call__(self) -> float:
        if self._failures:
            raise self._failures.pop(0)
        self.successes += 1
        return 0.0

    async def succeeded(self) -> bool:
        return self.successes > 1


@contextmanager
def no_connection(engine: AsyncEngine, problem: Exception) -> Iterator[None]:
    """Every attempt to get a connection raises `problem`."""

    def refuse(*_: Any) -> None:
        raise problem

    event.listen(engine.sync_engine, "checkout", refuse)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "checkout", refuse)


async def alerts(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as conn:
        return dict((await figures.read(conn, now=datetime.now(UTC))).alerts)


async def run_until(loop: Loop, condition: Callable[[], Awaitable[bool]]) -> asyncio.Task[None]:
    """Run it until the condition holds, then cancel it; returns its task."""
    running = asyncio.create_task(loop.run())
    try:
        await until(condition)
    finally:
        running.cancel()
        await asyncio.wait([running])
    return running


PROBLEMS = [
    KeyError("x"),
    RuntimeError(),
    TimeoutError(),
    ValueError("a\nb"),
    ExceptionGroup("two", [KeyError("x")]),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
async def test_a_loop_goes_on_after_any_exception_and_ends_when_it_is_cancelled(
    engine: AsyncEngine, problem: Exception
) -> None:
    step = Step(problem, problem)

    with structlog.testing.capture_logs() as logged:
        running = await run_until(
            Loop(AlertKind.RELAY_FAILED, step, engine, longest_rest=0), step.succeeded
        )

    assert running.cancelled()
    assert [
        (record["event"], record["reason"], record["failures"])
        for record in logged
        if "reason" in record
    ] == [
        ("relay_failed", type(problem).__name__, 1),
        ("relay_failed", type(problem).__name__, 2),
    ]


async def test_an_unexpected_failure_is_an_alert_at_once_and_is_cleared_by_the_next_success(
    engine: AsyncEngine,
) -> None:
    seen: list[dict[str, int]] = []
    step = Step(KeyError("x"))

    async def look_and_succeed() -> float:
        seen.append(await alerts(engine))
        return await step()

    await run_until(
        Loop(AlertKind.SEALING_FAILED, look_and_succeed, engine, longest_rest=0), step.succeeded
    )

    assert seen[:2] == [{}, {"sealing_failed": 1}]
    assert await alerts(engine) == {}


async def test_a_loop_clears_the_alert_of_a_process_that_is_gone(engine: AsyncEngine) -> None:
    seen: list[dict[str, int]] = []

    async def succeed() -> float:
        """After the first success another process raises the alert, and is killed."""
        seen.append(await alerts(engine))
        if len(seen) == 2:
            async with engine.begin() as conn:
                await raise_(conn, INSTALLATION, AlertKind.RELAY_FAILED, "away")
        return 0.0

    async def four_times() -> bool:
        return len(seen) >= 4

    await run_until(Loop(AlertKind.RELAY_FAILED, succeed, engine, cleared_every=0), four_times)

    assert await alerts(engine) == {}


async def test_a_server_that_is_away_is_an_alert_after_a_minute(engine: AsyncEngine) -> None:
    away = OperationalError("SELECT 1", {}, OSError("away"))
    step = Step(*[away] * (PATIENCE - 1))
    await run_until(Loop(AlertKind.RELAY_FAILED, step, engine, longest_rest=0), step.succeeded)
    assert await builders.number(engine, "SELECT count(*) FROM alerts") == 0

    step = Step(*[away] * PATIENCE)
    await run_until(Loop(AlertKind.RELAY_FAILED, step, engine, longest_rest=0), step.succeeded)
    assert (
        await builders.number(
            engine, "SELECT count(*) FROM past_alerts WHERE kind = 'relay_failed'"
        )
        == 1
    )


async def test_a_loop_goes_on_although_its_alert_cannot_be_raised(engine: AsyncEngine) -> None:
    step = Step(KeyError("x"))

    with (
        no_connection(engine, RuntimeError("no connection")),
        structlog.testing.capture_logs() as logged,
    ):
        running = asyncio.create_task(
            Loop(AlertKind.RELAY_FAILED, step, engine, longest_rest=0).run()
        )
        await until(step.succeeded)
    running.cancel()

    assert "alert_not_raised" in [record["event"] for record in logged]


async def test_callbacks_whose_writing_fails_in_any_way_are_answered(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await builders.send(engine, await builders.campaign(engine, messages=1))
    callback = SubaccountCallback(builders.ORGANIZATION, builders.callback(message))
    written = Callbacks(engine)

    with no_connection(engine, KeyError("x")), pytest.raises(KeyError):
        await asyncio.wait_for(written.apply(callback), 30)
    await asyncio.wait_for(written.apply(callback), 30)


async def test_postings_whose_booking_fails_in_any_way_are_answered(engine: AsyncEngine) -> None:
    await onboard(engine)
    coalescer = Coalescer(engine)
    posting = [credit("c", usd("1"))]

    with no_connection(engine, KeyError("x")), pytest.raises(KeyError):
        await asyncio.wait_for(coalescer.post(builders.ORGANIZATION, posting), 30)
    await asyncio.wait_for(coalescer.post(builders.ORGANIZATION, posting), 30)
