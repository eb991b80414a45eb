"""Reads the bill in simulated time, in its own process: `python -m bench.bill.worker QUEUE`.

The readers are Tollgate's own; what differs from its worker is that they get Twilio's time, and do
not wait for the turns of their budget, which are of real time.
"""

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio import activity
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.carrier.foreign_messages import ForeignMessages
from activities.carrier.usage import UsageReader
from bench.bill.reading import (
    HEARTBEAT,
    MAKE_TRIGGERS,
    READ,
    MakeTriggers,
    Moment,
    Read,
    ReadBill,
)
from db.carrier import readings, tripwires
from runtime.processes import exit_now, stop_requested
from runtime.wiring import Services, from_environment


@dataclass(slots=True)
class Turns:
    taken: int = 0

    async def usage(self, _: str) -> None:
        self.taken += 1

    async def messages(self) -> None:
        return


class Reading:
    def __init__(self, services: Services) -> None:
        self._engine = services.engine
        self._tripwires = services.tripwires
        self._turns = Turns()
        self._usage = UsageReader(services.engine, services.twilio, self._turns.usage)
        self._foreign = ForeignMessages(services.engine, services.twilio, self._turns.messages)

    @activity.defn(name=READ)
    async def read(self, at: Moment) -> Read:
        beating = asyncio.create_task(_beat())
        try:
            return await self._read(datetime.fromisoformat(at.now), at.accounts)
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    @activity.defn(name=MAKE_TRIGGERS)
    async def make_triggers(self, organization_ids: list[str]) -> None:
        for organization_id in organization_ids:
            async with self._engine.connect() as conn:
                tripwire = await tripwires.get(conn, organization_id)
            if tripwire is not None:
                await self._tripwires.repair(tripwire, now=datetime.now(UTC))

    async def _read(self, now: datetime, accounts: int) -> Read:
        before, number, found = self._turns.taken, 0, 0
        after: str | None = ""
        while after is not None:
            listed = await self._foreign.find(after, organizations=1, now=now)
            after, found = listed.after, found + listed.found
        async with self._engine.begin() as conn:
            await readings.add_new(conn, now=now)
        while (taken := await self._usage.read_due(accounts=accounts, now=now))[0]:
            number += taken[0]
        return Read(
            readings=number,
            calls=self._turns.taken - before,
            found=found,
            attempt=activity.info().attempt,
        )


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT.total_seconds() / 4)


async def serve(queue: str) -> None:
    """Poll until SIGTERM."""
    stop = stop_requested()
    async with from_environment("bench-bill", lazy=False) as services:
        reading = Reading(services)
        worker = Worker(
            services.client,
            task_queue=queue,
            workflows=[ReadBill, MakeTriggers],
            activities=[reading.read, reading.make_triggers],
            workflow_runner=SandboxedWorkflowRunner(
                restrictions=SandboxRestrictions.default.with_passthrough_all_modules()
            ),
        )
        async with worker:
            await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
    exit_now(0)
