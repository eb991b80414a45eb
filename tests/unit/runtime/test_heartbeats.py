"""Heartbeats: sent for every activity with a timeout; a cancelled attempt finishes unless the
worker shuts down.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import structlog
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from runtime.heartbeats import Heartbeats


class _Attempt(ActivityInboundInterceptor):
    """Stands in for the activity: waits for `may_end`, then is `done`."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.began = asyncio.Event()
        self.done = False

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ARG002 - the SDK's name
        self.began.set()
        await self.may_end.wait()
        self.done = True
        return "the answer"


def environment(timeout: timedelta | None) -> tuple[ActivityEnvironment, list[Any]]:
    test_environment, beats = ActivityEnvironment(), []
    test_environment.info = dataclasses.replace(test_environment.info, heartbeat_timeout=timeout)
    test_environment.on_heartbeat = lambda *details: beats.append(details)
    return test_environment, beats


def run(test_environment: ActivityEnvironment, attempt: _Attempt) -> Awaitable[Any]:
    async def execute() -> Any:
        input_: Any = None
        return await Heartbeats().intercept_activity(attempt).execute_activity(input_)

    begin: Callable[[], Awaitable[Any]] = execute
    return asyncio.ensure_future(test_environment.run(begin))


async def test_an_activity_with_a_timeout_beats_until_it_ends() -> None:
    attempt = _Attempt()
    test_environment, beats = environment(timedelta(seconds=0.02))

    def count(*details: Any) -> None:
        beats.append(details)
        if len(beats) == 3:
            attempt.may_end.set()

    test_environment.on_heartbeat = count

    assert await asyncio.wait_for(run(test_environment, attempt), 5) == "the answer"


async def test_a_beat_that_fails_is_logged_and_is_not_the_last() -> None:
    attempt = _Attempt()
    test_environment, beats = environment(timedelta(seconds=0.02))

    def fail_twice(*details: Any) -> None:
        beats.append(details)
        if len(beats) <= 2:
            raise RuntimeError("not sent")
        attempt.may_end.set()

    test_environment.on_heartbeat = fail_twice

    with structlog.testing.capture_logs() as logged:
        assert await asyncio.wait_for(run(test_environment, attempt), 5) == "the answer"
    assert [(record["event"], record["reason"]) for record in logged] == [
        ("heartbeat_failed", "RuntimeError")
    ] * 2


async def test_an_activity_without_one_does_not_beat() -> None:
    attempt = _Attempt()
    test_environment, beats = environment(None)
    attempt.may_end.set()

    assert await run(test_environment, attempt) == "the answer"
    assert not beats


async def test_a_cancelled_attempt_comes_to_its_end() -> None:
    attempt = _Attempt()
    test_environment, _ = environment(timedelta(seconds=10))
    running = run(test_environment, attempt)
    await attempt.began.wait()
    test_environment.cancel(ActivityCancellationDetails(cancel_requested=True))
    attempt.may_end.set()

    assert await running == "the answer"


async def test_an_activity_whose_worker_shuts_down_does_not_end() -> None:
    attempt = _Attempt()
    test_environment, _ = environment(timedelta(seconds=10))
    running = run(test_environment, attempt)
    await attempt.began.wait()
    test_environment.cancel(ActivityCancellationDetails(worker_shutdown=True))

    with pytest.raises(asyncio.CancelledError):
        await running
    assert not attempt.done


async def test_a_failure_passes_as_it_is() -> None:
    class Failing(_Attempt):
        async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ARG002 - the SDK's name
            raise ValueError("wrong")

    test_environment, _ = environment(timedelta(seconds=10))

    with pytest.raises(ValueError, match="wrong"):
        await run(test_environment, Failing())
