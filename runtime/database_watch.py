"""Notices a database that went back in time: a restored backup, or a standby that was promoted
without the last transactions. Then it shuts the fence.
"""

import time
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError

from db import alerts
from db.recovery import fences, marks
from domain.alerts import AlertKind
from domain.recovery.marks import Mark, went_back
from runtime import marks_at_temporal
from runtime.database_memory import Memory, in_words
from runtime.loops import Loop
from runtime.temporal_refusals import is_refusal

log = structlog.get_logger()
EVERY = timedelta(seconds=1)
REMEMBER_EVERY = timedelta(minutes=1)
REMEMBER_AGAIN = timedelta(seconds=10)
"""After Temporal did not answer."""
REFUSED_AGAIN = timedelta(hours=1)
"""After it refused: only what processes remember counts."""


async def open_fence(engine: AsyncEngine, client: Client, *, by: str, because: str) -> bool:
    """Let organizations send again; returns whether the fence was shut.

    Temporal learns the mark first: otherwise the next process would shut the fence again.
    """
    async with engine.begin() as conn:
        if await fences.current(conn) is None:
            return False
        mark, _ = await marks.accept(conn)
    await marks_at_temporal.write(client, mark)
    async with engine.begin() as conn:
        opened = await fences.open_(conn, by=by, because=because)
        await alerts.clear(conn, alerts.INSTALLATION, AlertKind.FENCED)
    log.warning("fence_opened", by=by, reason=because)
    return opened


class DatabaseWatch:
    """Every process runs one. It advances the mark, and compares it with what the process and
    Temporal remember.
    """

    def __init__(self, engine: AsyncEngine, client: Client, memory: Memory) -> None:
        self._engine = engine
        self._client = client
        self._memory = memory
        self._remembered: Mark | None = None
        self._due = 0.0
        self._alerted: str | None = None

    async def look_first(self) -> None:
        """Compare once, before anything is sent. Raises SQLAlchemy's errors."""
        await self._step()

    async def run(self) -> None:
        """Runs until cancelled, whichever server is down."""
        await Loop(AlertKind.MARK_FAILED, self._step, self._engine).run()

    async def _step(self) -> float:
        found = await self._look()
        if not self._memory.fence and self._is_due(found):
            await self._compare_with_temporal(found)
        if self._memory.fence != self._alerted:
            await self._tell()
        return EVERY.total_seconds()

    async def _look(self) -> Mark:
        known = self._memory.known
        async with self._engine.begin() as conn:
            found, fence = await marks.advance(conn)
        why = self._memory.compare(known, found, fence)
        if why:
            await self._shut(why)
        return found

    def _is_due(self, found: Mark) -> bool:
        changed = self._remembered is not None and self._remembered.timeline != found.timeline
        return changed or time.monotonic() >= self._due

    async def _compare_with_temporal(self, found: Mark) -> None:
        """Temporal's memory outlives the processes; what is not lower than that, it remembers."""
        assert found.installation is not None
        try:
            remembered = await marks_at_temporal.read(self._client, found.installation)
            now = await self._look()  # after Temporal's answer, so that it must not be lower
            if self._memory.fence:
                return
            watched = self._remembered is not None
            why = "" if remembered is None else went_back(remembered, now, watched=watched)
            if why:
                await self._shut(in_words(why, now))
                return
            await marks_at_temporal.write(self._client, now)
        except (RPCError, RuntimeError) as problem:
            log.warning("mark_not_compared", reason=type(problem).__name__, detail=str(problem))
            again = REFUSED_AGAIN if is_refusal(problem) else REMEMBER_AGAIN
            self._due = time.monotonic() + again.total_seconds()
            return
        self._remembered = now
        self._due = time.monotonic() + REMEMBER_EVERY.total_seconds()

    async def _shut(self, why: str) -> None:
        log.error("database_went_back", detail=why)
        async with self._engine.begin() as conn:
            await fences.shut(conn, why, by=fences.TOLLGATE)
        self._memory.fence = why

    async def _tell(self) -> None:
        fence = self._memory.fence
        async with self._engine.begin() as conn:
            if fence:
                await alerts.raise_(conn, alerts.INSTALLATION, AlertKind.FENCED, fence)
            else:
                await alerts.clear(conn, alerts.INSTALLATION, AlertKind.FENCED)
        self._alerted = fence
        self._due = 0.0
