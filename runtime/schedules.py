"""The schedules of the reconciliations: created once, and updated once by a build that changes
them.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from activities.audit.passes import Pass
from activities.inbox.event_backfill import Settled
from activities.workflow_contracts import RECONCILE_EVENTS, RECONCILIATION
from domain.audit.reconciliation import RHYTHMS
from runtime.client import RPC_TIMEOUT
from runtime.payload_codec import UndecodablePayload
from runtime.temporal_refusals import is_refusal

log = structlog.get_logger()
VERSION = "tollgate_version"
"""In the memo of a schedule's action. One without it is of version 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A schedule. Whoever changes one raises its `version`: otherwise those that exist stay as
    they are.
    """

    id: str
    workflow: str
    argument: object
    summary: str
    every: timedelta
    jitter: timedelta
    version: int = 1


PLAN = (
    *(
        Planned(
            id=f"reconcile-{subject.value}",
            workflow=RECONCILIATION,
            argument=Pass(subject=subject),
            summary=rhythm.summary,
            every=rhythm.every,
            jitter=timedelta(minutes=1),
        )
        for subject, rhythm in RHYTHMS.items()
    ),
    Planned(
        id="reconcile-events",
        workflow=RECONCILE_EVENTS,
        argument=Settled(),
        summary="Process events that were not delivered",
        every=timedelta(minutes=15),
        jitter=timedelta(minutes=1),
        version=2,
    ),
)
SCHEDULES = tuple(planned.id for planned in PLAN)
RETIRED = ("reconcile",)
"""Schedules of earlier releases."""


async def ensure(
    client: Client,
    task_queue: str,
    plan: Sequence[Planned] = PLAN,
    retired: Sequence[str] = RETIRED,
) -> None:
    """Create schedules that are missing, update older ones and those of another task queue, and
    delete retired ones with what they started. Any number of processes may call it. One that fails
    does not stop the others; the first failure is raised at the end.

    What an operator paused stays paused. Where Temporal refuses it, a warning says so.
    """
    problems: list[RPCError] = []
    for step in (
        *(partial(_retire, client, id_) for id_ in retired),
        *(partial(_ensure, client, planned, task_queue) for planned in plan),
    ):
        try:
            await step()
        except RPCError as problem:
            if not is_refusal(problem):
                problems.append(problem)
                continue
            log.warning(
                "schedule_not_checked",
                schedule=getattr(step.args[1], "id", step.args[1]),
                detail=f"{problem.message}; unless it exists, nothing is compared with the "
                "providers: give the worker's key the permission to write in the namespace",
            )
    if problems:
        raise problems[0]


async def _retire(client: Client, id_: str) -> None:
    handle = client.get_schedule_handle(id_)
    try:
        found = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        await handle.delete(rpc_timeout=RPC_TIMEOUT)
    except RPCError as problem:
        if problem.status is not RPCStatusCode.NOT_FOUND:
            raise
        return
    log.info("schedule_deleted", schedule=id_)
    for workflow_id in _started(found):
        with suppress(RPCError):  # it has ended meanwhile
            await client.get_workflow_handle(workflow_id).cancel(rpc_timeout=RPC_TIMEOUT)


async def _ensure(client: Client, planned: Planned, task_queue: str) -> None:
    handle = client.get_schedule_handle(planned.id)
    try:
        found = await handle.describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as problem:
        if problem.status is not RPCStatusCode.NOT_FOUND and not is_refusal(problem):
            raise
        try:
            await client.create_schedule(
                planned.id, _schedule(planned, task_queue), rpc_timeout=RPC_TIMEOUT
            )
        except ScheduleAlreadyRunningError:
            return  # another process was faster, or its description is refused
        return
    version = await _version(client, found.schedule)
    # an older build leaves a newer one's alone
    moved = version <= planned.version and _action(found.schedule).task_queue != task_queue
    if moved or version < planned.version:

        def update(current: ScheduleUpdateInput) -> ScheduleUpdate:
            state = current.description.schedule.state
            return ScheduleUpdate(replace(_schedule(planned, task_queue), state=state))

        await handle.update(update, rpc_timeout=RPC_TIMEOUT)
        log.info(
            "schedule_updated", schedule=planned.id, version=planned.version, task_queue=task_queue
        )
    if moved:  # nobody may work on the old queue any more, and a run that is open prevents the next
        for workflow_id in _started(found):
            with suppress(RPCError):  # it has ended meanwhile
                await client.get_workflow_handle(workflow_id).terminate(
                    reason="its schedule has another task queue", rpc_timeout=RPC_TIMEOUT
                )


def _started(found: ScheduleDescription) -> list[str]:
    return [
        running.workflow_id
        for running in found.info.running_actions
        if isinstance(running, ScheduleActionExecutionStartWorkflow)
    ]


def _action(schedule: Schedule) -> ScheduleActionStartWorkflow:
    assert isinstance(schedule.action, ScheduleActionStartWorkflow)
    return schedule.action


async def _version(client: Client, schedule: Schedule) -> int:
    payload = (_action(schedule).memo or {}).get(VERSION)
    if payload is None:
        return 1
    try:
        [version] = await client.data_converter.decode([payload], [int])
    except (KeyError, UndecodablePayload):
        return sys.maxsize  # earlier releases encrypted it, with keys that this process lacks
    return int(version)


def _schedule(planned: Planned, task_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            planned.workflow,
            planned.argument,
            id=planned.id,
            task_queue=task_queue,
            static_summary=planned.summary,
            # readable without keys: a process that has none yet must leave a newer one alone
            memo={VERSION: DataConverter.default.payload_converter.to_payload(planned.version)},
        ),
        spec=ScheduleSpec(
            intervals=[ScheduleIntervalSpec(every=planned.every)], jitter=planned.jitter
        ),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=30)
        ),
    )
