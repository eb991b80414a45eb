"""Looks up rows for many requests together: waiting keys share one query, on one connection."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_AT_ONCE = 500


class Lookups(Generic[K, V]):
    """However many keys are invented, their lookups use one connection, and the lookup of a real
    key waits for at most two statements per 500 of them.
    """

    def __init__(self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._ask = ask
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def find(self, key: K) -> V | None:
        """The row of the key, read after this call."""
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask_until_none_waits())
        return await asyncio.shield(waiting)  # others may wait for the same key key

    async def _ask_until_none_waits(self) -> None:
        while self._waiting:
            batch = {key: self._waiting.pop(key) for key in list(islice(self._waiting, _AT_ONCE))}
            try:
                found = await self._ask(list(batch))
            except Exception as problem:  # noqa: BLE001 - each of those who wait is told
                for waiting in batch.values():
                    waiting.set_exception(problem)
                    waiting.exception()  # perhaps no request waits any more
            else:
                for key, waiting in batch.items():
                    waiting.set_result(found.get(key))
