"""Status callbacks that come at the same time are written together; the first goes at once, none waits for a timer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db import callbacks
from db.callbacks import Applied, Told
from runtime.coalescer import Overloaded

log = structlog.get_logger()
TOGETHER = 500
WAITING = 10_000
"""How many callbacks may wait; past that Twilio is told to come again."""


class Callbacks:
    """Applies status callbacks for one process. When `apply` returns, what the callback tells is committed."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._waiting: deque[tuple[Told, asyncio.Future[Applied]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def apply(self, told: Told) -> Applied:
        """Raises `Overloaded` when too many wait, SQLAlchemy's errors when it could not be written."""
        if len(self._waiting) >= WAITING:
            raise Overloaded
        answer: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()
        self._waiting.append((told, answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await answer

    async def close(self) -> None:
        """Return when all that waited is answered."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
            plain = [one for one in batch if not one[0].returns_money]
            await self._answer(plain, self._write)
            money = sorted((one for one in batch if one[0].returns_money), key=lambda one: one[0].organization_id)
            for _, of_one in groupby(money, key=lambda one: one[0].organization_id):
                await self._answer(list(of_one), self._give_back)

    async def _answer(
        self,
        batch: Sequence[tuple[Told, asyncio.Future[Applied]]],
        act: Callable[[Sequence[Told]], Awaitable[Sequence[Applied]]],
    ) -> None:
        """One that cannot be written must not take the others with it: after a failure each is tried by itself."""
        if not batch:
            return
        try:
            answers = list(zip(batch, await act([told for told, _ in batch]), strict=True))
        except Exception as problem:  # noqa: BLE001 - whatever it is, those who wait are told
            log.warning("callbacks_failed", together=len(batch), reason=type(problem).__name__)
            if len(batch) > 1:
                for one in batch:
                    await self._answer([one], act)
                return
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(problem)
            return
        for (_, waiting), answer in answers:
            if not waiting.done():
                waiting.set_result(answer)

    async def _write(self, told: Sequence[Told]) -> Sequence[Applied]:
        async with self._engine.begin() as conn:
            return await callbacks.apply(conn, told)

    async def _give_back(self, told: Sequence[Told]) -> Sequence[Applied]:
        async with self._engine.begin() as conn:
            return await callbacks.give_back(conn, told[0].organization_id, told)
