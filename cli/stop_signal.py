"""Waits for a task or for the stop signal, whichever comes first."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first_of(task: asyncio.Task[Any], stop: asyncio.Event) -> None:
    """Return when the task has ended or `stop` is set; changes neither."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()


async def unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """The task's result. If `stop` is set first, cancels the task and returns None."""
    doing = asyncio.create_task(work)
    await first_of(doing, stop)
    if doing.done():
        return await doing
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return None
