"""Takes the turns of all senders of a process together: one statement for everybody who waits."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import pace


@dataclass(frozen=True, slots=True)
class _Request:
    of: str
    length: float
    answer: asyncio.Future[float]


class Pacing:
    """The first caller starts at once; those who come meanwhile share the next statement, in order.

    So a pace that many senders share costs one row's lock for each round and not for each turn. No
    turn is taken that nobody waits for.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._committing = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._waiting: list[_Request] = []
        self._running: asyncio.Task[None] | None = None

    async def take(self, of: str, many: int, *, per_second: int) -> float:
        """As `db.campaigns.pace.take`, committed when this returns."""
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(of, many / per_second, answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            requests = [request for request in self._waiting if not request.answer.done()]
            self._waiting = []
            try:
                await self._deal(requests)
            except Exception as problem:  # noqa: BLE001 - whatever it is, those who wait are told
                for request in requests:
                    if not request.answer.done():
                        request.answer.set_exception(problem)

    async def _deal(self, requests: Sequence[_Request]) -> None:
        lengths: defaultdict[str, float] = defaultdict(float)
        for request in requests:
            lengths[request.of] += request.length
        async with self._committing.connect() as conn:
            begins_in = await pace.take_together(conn, lengths)
        for request in requests:
            if not request.answer.done():
                request.answer.set_result(begins_in[request.of])
            begins_in[request.of] += request.length
