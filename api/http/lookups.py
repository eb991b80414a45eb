"""Rows that many requests look for at once: what waits is asked for together, over one
connection.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_AT_ONCE = 500


class Lookups(Generic[K, V]):
    """However many keys strangers make up, they take one connection, and whoever looks for a real
    one waits for two statements at most per 500 of them.
    """

    def __init__(self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._ask = ask
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def find(self, key: K) -> V | None:
        """What the key stands for, read after this was called."""
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask_until_none_waits())
        return await asyncio.shield(waiting)  # others may wait for the same

    async def _ask_until_none_waits(self) -> None:
        while self._waiting:
            batch = {key: self._waiting.pop(key) for key in list(islice(self._waiting, _AT_ONCE))}
            try:
                found = await self._ask(list(batch))
            except Exception as problem:  # noqa: BLE001 - each of those who wait is told
                for waiting in batch.values():
                    waiting.set_exception(problem)
                    waiting.exception()  # it may be that nobody waits any more
            else:
                for key, waiting in batch.items():
                    waiting.set_result(found.get(key))
