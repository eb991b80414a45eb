"""Waiting for work or for the wish to stop, whichever comes first."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first_of(task: asyncio.Task[Any], stop: asyncio.Event) -> None:
    """Return when the task has ended or `stop` is set; neither is changed by it."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()


async def unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """What it comes to; None, and it is cancelled, if `stop` is set before."""
    doing = asyncio.create_task(work)
    await first_of(doing, stop)
    if doing.done():
        return await doing
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return None
