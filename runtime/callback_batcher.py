"""Writes concurrent status callbacks together; the first starts at once, without a timer."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import callbacks
from db.campaigns.callbacks import Applied, SubaccountCallback
from runtime.coalescer import Overloaded

log = structlog.get_logger()
TOGETHER = 500
WAITING = 10_000
"""How many callbacks may wait; beyond that Twilio has to retry."""
OF_ONE = 5_000
"""How many callbacks of one organization may wait while its messages are locked."""
PATIENCE = 5.0
"""Seconds that a callback waits for a locked message; Twilio, which waits for 15, retries."""
_RETRY_EVERY = (0.02, 0.5)


@dataclass(frozen=True, slots=True)
class _Request:
    callback: SubaccountCallback
    until: float
    answer: asyncio.Future[Applied]


class Callbacks:
    """Applies status callbacks for one process. When `apply` returns, the callback is committed.

    Never waits for locks in the database: callbacks of an organization with locked messages wait in
    their own queue, in order, without a connection, and block no other organization's.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._waiting: deque[_Request] = deque()
        self._apart: dict[str, deque[_Request]] = {}
        self._running: asyncio.Task[None] | None = None
        self._lanes: set[asyncio.Task[None]] = set()

    async def apply(self, callback: SubaccountCallback) -> Applied:
        """Raises `Overloaded` if too many wait or the message stays locked; SQLAlchemy's errors if
        it could not be written.
        """
        loop = asyncio.get_running_loop()
        apart = self._apart.get(callback.organization_id)
        if len(self._waiting) >= WAITING or (apart is not None and len(apart) >= OF_ONE):
            raise Overloaded
        request = _Request(callback, loop.time() + PATIENCE, loop.create_future())
        if apart is not None:
            apart.append(request)
            return await request.answer
        self._waiting.append(request)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await request.answer

    async def close(self) -> None:
        """Return when all waiting callbacks are answered."""
        while self._lanes or (self._running is not None and not self._running.done()):
            await asyncio.wait({*self._lanes, *([self._running] if self._running else [])})

    async def _run(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
            for request in batch:
                if request.callback.organization_id in self._apart:
                    self._apart[request.callback.organization_id].append(request)
            for request in await self._write(
                [
                    request
                    for request in batch
                    if request.callback.organization_id not in self._apart
                ]
            ):
                self._set_apart(request)

    def _set_apart(self, request: _Request) -> None:
        organization_id = request.callback.organization_id
        lane = self._apart.setdefault(organization_id, deque())
        lane.append(request)
        if len(lane) == 1:
            task = asyncio.create_task(self._go_on(organization_id))
            self._lanes.add(task)
            task.add_done_callback(self._lanes.discard)

    async def _go_on(self, organization_id: str) -> None:
        """Retry locked callbacks with growing pauses until they are written or no request waits any
        more.
        """
        lane = self._apart[organization_id]
        shortest, longest = _RETRY_EVERY
        pause = shortest
        while lane:
            await asyncio.sleep(pause)
            batch = [lane.popleft() for _ in range(min(len(lane), TOGETHER))]
            blocked = await self._write(batch)
            pause = min(pause * 2, longest) if len(blocked) == len(batch) else shortest
            lane.extendleft(reversed(self._patient(blocked)))
        del self._apart[organization_id]

    def _patient(self, blocked: Sequence[_Request]) -> list[_Request]:
        """The requests that keep waiting; the others fail with `Overloaded`."""
        now = asyncio.get_running_loop().time()
        for request in blocked:
            if now >= request.until and not request.answer.done():
                request.answer.set_exception(Overloaded())
        return [request for request in blocked if not request.answer.done()]

    async def _write(self, batch: Sequence[_Request]) -> list[_Request]:
        """Write the batch, answer it, and return the requests whose messages are locked.

        One failing callback must not fail the others: after an error each is tried alone.
        """
        if not batch:
            return []
        try:
            async with self._engine.begin() as conn:
                applied = await callbacks.apply(
                    conn, [request.callback for request in batch], wait=False
                )
            answers = list(zip(batch, applied, strict=True))
        except Exception as problem:  # noqa: BLE001 - whatever it is, those who wait are told
            log.warning("callbacks_failed", together=len(batch), reason=type(problem).__name__)
            if len(batch) > 1:
                return [blocked for request in batch for blocked in await self._write([request])]
            if not batch[0].answer.done():
                batch[0].answer.set_exception(problem)
            return []
        blocked = []
        for request, answer in answers:
            if answer is None:
                blocked.append(request)
            elif not request.answer.done():
                request.answer.set_result(answer)
        return blocked
