"""The mark as Temporal remembers it, for processes that start after the database was restored.

It is the note of a paused schedule that starts nothing: readable and writable without a worker.
"""

import json
from datetime import timedelta
from uuid import UUID

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError, RPCStatusCode

from domain.recovery.marks import Mark

RPC_TIMEOUT = timedelta(seconds=3)


def schedule_id(installation: UUID) -> str:
    return f"database-{installation}"


async def read(client: Client, installation: UUID) -> Mark | None:
    """None if Temporal does not know the installation. Raises RPCError, or RuntimeError from a lazy
    client.
    """
    handle = client.get_schedule_handle(schedule_id(installation))
    try:
        described = await handle.describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as problem:
        if problem.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    try:
        note = json.loads(described.schedule.state.note or "")
        return Mark(
            installation=UUID(note["installation"]),
            number=int(note["number"]),
            server=int(note["server"]),
            timeline=int(note["timeline"]),
        )
    except (ValueError, KeyError, TypeError):
        return None  # somebody wrote another note


async def write(client: Client, mark: Mark) -> None:
    assert mark.installation is not None
    note = json.dumps(
        {
            "installation": str(mark.installation),
            "number": mark.number,
            "server": mark.server,
            "timeline": mark.timeline,
        }
    )
    handle = client.get_schedule_handle(schedule_id(mark.installation))
    try:
        await handle.pause(note=note, rpc_timeout=RPC_TIMEOUT)
    except RPCError as problem:
        if problem.status is not RPCStatusCode.NOT_FOUND:
            raise
        await _create(client, mark.installation, note)


async def _create(client: Client, installation: UUID, note: str) -> None:
    nothing = ScheduleActionStartWorkflow(
        "Nothing", id=schedule_id(installation), task_queue="nothing"
    )
    schedule = Schedule(
        action=nothing, spec=ScheduleSpec(), state=ScheduleState(paused=True, note=note)
    )
    try:
        await client.create_schedule(schedule_id(installation), schedule, rpc_timeout=RPC_TIMEOUT)
    except ScheduleAlreadyRunningError:
        return  # another process was faster
