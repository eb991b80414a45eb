"""Lets concurrent callers share a single fetch; caches nothing afterwards."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    def __init__(self) -> None:
        self._flying: dict[str, asyncio.Task[T]] = {}

    async def join(self, key: str, fetch: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result, or the error, of the current fetch for `key`; starts one if there is none."""
        task = self._flying.get(key)
        if task is None:
            task = asyncio.create_task(fetch())
            self._flying[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)  # a canceled caller must not cancel the others' fetch

    def _land(self, key: str, done: "asyncio.Task[T]") -> None:
        self._flying.pop(key, None)
        if not done.cancelled():
            done.exception()  # retrieved even if every caller was canceled
