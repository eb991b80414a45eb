"""Waiting for work or for the wish to stop, whichever comes first."""

import asyncio
from typing import Any


async def first_of(task: asyncio.Task[Any], stop: asyncio.Event) -> None:
    """Return when the task has ended or `stop` is set; neither is changed by it."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
