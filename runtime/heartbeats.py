"""Sends heartbeats for every activity with a heartbeat timeout: a dead worker is noticed in
seconds, a cancelled call ends.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

log = structlog.get_logger()
BEATS_PER_TIMEOUT = 4


class Heartbeats(Interceptor):
    """Activities need not send heartbeats themselves; none is sent while the worker's event loop is
    blocked.
    """

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Beating(next)


class _Remembering(ActivityOutboundInterceptor):
    """The latest progress: a beat without it would erase it, and a further attempt start anew."""

    def __init__(self, following: ActivityOutboundInterceptor) -> None:
        super().__init__(following)
        self.details: Sequence[Any] = ()

    def heartbeat(self, *details: Any) -> None:
        self.details = details or self.details or tuple(self.info().heartbeat_details)
        super().heartbeat(*self.details)


class _Beating(ActivityInboundInterceptor):
    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        super().init(_Remembering(outbound))

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        timeout = activity.info().heartbeat_timeout
        if timeout is None or timeout.total_seconds() == 0:
            return await self.next.execute_activity(input)
        beating = asyncio.create_task(_beat(timeout.total_seconds() / BEATS_PER_TIMEOUT))
        try:
            return await _to_its_end(asyncio.create_task(self.next.execute_activity(input)))
        finally:
            beating.cancel()


async def _beat(every: float) -> None:
    while True:
        await asyncio.sleep(every)  # wait first: most finish before, and need no heartbeat
        try:
            activity.heartbeat()
        except Exception as problem:  # noqa: BLE001 - a beat that is missed is no reason to miss those behind it
            log.warning(
                "heartbeat_failed", reason=type(problem).__name__, detail=str(problem)[:200]
            )


async def _to_its_end(attempt: asyncio.Task[Any]) -> Any:
    """Let a cancelled activity finish, unless the worker shuts down.

    An abandoned call may arrive after the one that undoes it: a subaccount suspended unnoticed.
    Providers' clients have time limits, so the end is near.
    """
    while not attempt.done():
        try:
            await asyncio.shield(attempt)
        except asyncio.CancelledError:
            why = activity.cancellation_details()
            if why is not None and why.worker_shutdown:
                attempt.cancel()
                await asyncio.wait([attempt])
        except Exception:  # noqa: BLE001 - raised below, where the attempt is asked
            break
    return attempt.result()
