"""Endless loops: any exception of a step is logged and raises an alert, and the step is retried."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.service import RPCError

from activities.failures import first_line, in_words
from db import alerts
from domain.alerts import AlertKind

log = structlog.get_logger()
SERVER_AWAY = (RPCError, SQLAlchemyError, OSError)
"""Raised while a server is unreachable. Anything else is a bug, and is logged with its traceback.
"""
LONGEST_REST = 5.0
CLEARED_EVERY = 60.0
PATIENCE = 12
"""After this many consecutive failures, about a minute, an absent server raises an alert."""


class Loop:
    """Runs `step` forever. `kind` is the alert's kind on failure and the log event.

    The step returns its rest in seconds. After a failure the rest doubles, up to `longest_rest`.
    A success clears the alert: the first one, also in a process started since, and then one in each
    minute, since the process that raised it may be gone.
    """

    def __init__(
        self,
        kind: AlertKind,
        step: Callable[[], Awaitable[float]],
        engine: AsyncEngine,
        longest_rest: float = LONGEST_REST,
        cleared_every: float = CLEARED_EVERY,
    ) -> None:
        self._kind = kind
        self._step = step
        self._engine = engine
        self._longest_rest = longest_rest
        self._failures = 0
        self._cleared_every = cleared_every
        self._cleared_at = -math.inf

    async def run(self) -> None:
        while True:
            rest = await self._once()
            await asyncio.sleep(rest)

    async def _once(self) -> float:
        try:
            rest = await self._step()
            if time.monotonic() - self._cleared_at >= self._cleared_every:
                async with self._engine.begin() as conn:
                    await alerts.clear(conn, alerts.INSTALLATION, self._kind)
                self._cleared_at = time.monotonic()
        except Exception as problem:  # noqa: BLE001 - whatever it is, it must not end the loop
            self._failures += 1
            await self._report(problem)
            return min(2.0 ** min(self._failures - 1, 10), self._longest_rest)
        self._failures = 0
        return rest

    async def _report(self, problem: Exception) -> None:
        reason, detail = type(problem).__name__, first_line(problem)
        if isinstance(problem, SERVER_AWAY):
            log.warning(self._kind.value, reason=reason, detail=detail, failures=self._failures)
        else:
            log.error(
                self._kind.value,
                reason=reason,
                detail=detail,
                failures=self._failures,
                exc_info=problem,
            )
        if self._failures < PATIENCE and isinstance(problem, SERVER_AWAY):
            return
        self._cleared_at = -math.inf
        try:
            async with self._engine.begin() as conn:
                await alerts.raise_(
                    conn,
                    alerts.INSTALLATION,
                    self._kind,
                    f"{self._failures} times in a row: {in_words(problem)}",
                )
        except Exception as further:  # noqa: BLE001 - most often the database is what is away
            log.warning("alert_not_raised", kind=self._kind.value, reason=type(further).__name__)
