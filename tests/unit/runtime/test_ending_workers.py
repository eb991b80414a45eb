"""The workers of a process stop at the same time."""

import asyncio
from dataclasses import dataclass

from runtime.worker import end_together
from tests.world import LIMIT


@dataclass(frozen=True, slots=True)
class Busy:
    """Has ended when all others were told to stop."""

    all_told: asyncio.Barrier

    async def shutdown(self) -> None:
        await self.all_told.wait()


async def test_no_worker_accepts_tasks_while_another_finishes() -> None:
    all_told = asyncio.Barrier(3)

    async with asyncio.timeout(LIMIT):
        await end_together([Busy(all_told) for _ in range(3)])
