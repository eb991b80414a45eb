"""Ways to hold a step: at its boundary, at a locked row, at a call to Twilio that fails or waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from temporalio import activity, client, worker
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.lifecycle.enforcement import Step
from activities.workflow_contracts import LIFECYCLE, Lifecycle, organization_workflow_id
from tests.world import World, until

WAITING_FOR_A_LOCK = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE :query
"""


@dataclass(slots=True)
class Stop:
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


class Boundaries(client.Interceptor, worker.Interceptor):
    """Holds an organization's activities with this name after Temporal has dispatched them and
    before they begin.
    """

    def __init__(self) -> None:
        self.stops: dict[tuple[str, str], Stop] = {}
        self.deaths: set[tuple[str, str]] = set()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Stopping(next, self)

    def die_after(self, step: str, organization_id: str) -> None:
        """The step is done and committed once, but Temporal gets no result: as when its worker
        dies.
        """
        self.deaths.add((step, organization_id))

    @asynccontextmanager
    async def holding(self, step: str, organization_id: str) -> AsyncIterator[Stop]:
        """Hold the step until the block ends, or until it is released."""
        stop = self.stops[step, organization_id] = Stop()
        try:
            yield stop
        finally:
            del self.stops[step, organization_id]
            stop.let_go.set()


class _Stopping(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, boundaries: Boundaries) -> None:
        super().__init__(following)
        self._boundaries = boundaries

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        argument = input.args[0] if input.args else None
        step = (activity.info().activity_type, getattr(argument, "organization_id", ""))
        stop = self._boundaries.stops.get(step)
        if stop is not None:
            stop.reached.set()
            await stop.let_go.wait()
        done = await super().execute_activity(input)
        if step in self._boundaries.deaths:
            self._boundaries.deaths.remove(step)
            raise RuntimeError("the worker died")
        return done


@asynccontextmanager
async def row_locked(world: World, table: str, organization_id: str) -> AsyncIterator[None]:
    """Lock the organization's row of a table in a separate transaction until the block ends."""
    async with world.services.engine.connect() as conn:
        await conn.execute(
            text(f"SELECT 1 FROM {table} WHERE organization_id = :organization_id FOR UPDATE"),
            {"organization_id": organization_id},
        )
        yield
        await conn.rollback()


async def somebody_waits_for(world: World, table: str) -> None:
    """Wait until a statement on the table waits for a lock."""

    async def waits() -> bool:
        async with world.services.engine.connect() as conn:
            found = await conn.execute(text(WAITING_FOR_A_LOCK), {"query": f"%{table}%"})
            return bool(found.scalar_one())

    await until(waits, f"a statement that waits for {table}")


async def steps_taken(world: World, organization_id: str, epoch: int) -> list[str]:
    """The completed steps of an epoch's receipt."""
    async with world.services.engine.connect() as conn:
        found = await conn.execute(
            text(
                "SELECT steps FROM receipts WHERE organization_id = :organization_id AND epoch = :epoch"
            ),
            {"organization_id": organization_id, "epoch": epoch},
        )
        row = found.one_or_none()
    return [] if row is None else [step["step"] for step in row.steps]


async def restart_lifecycle(world: World, start: Lifecycle) -> None:
    """Replace the organization's lifecycle by one that starts with other limits."""
    to_temporal = world.services.client
    workflow_id = organization_workflow_id(start.organization_id)
    await to_temporal.get_workflow_handle(workflow_id).terminate(
        "a test starts it with other limits"
    )
    await to_temporal.start_workflow(
        LIFECYCLE, start, id=workflow_id, task_queue=world.services.settings.lifecycle_task_queue
    )


async def details(world: World, workflow_id: str) -> str:
    """What the Temporal UI shows as a workflow's current details."""
    handle = world.services.client.get_workflow_handle(workflow_id)
    metadata: WorkflowMetadata = await handle.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return metadata.current_details


def account_path(account_sid: str) -> str:
    return rf"/2010-04-01/Accounts/{account_sid}\.json"


def messages_path(account_sid: str) -> str:
    return rf"/2010-04-01/Accounts/{account_sid}/Messages\.json"


def subscription_path(subscription_id: str) -> str:
    return rf"/v1/billing/subscriptions/{subscription_id}$"


async def tried(world: World, path: str) -> None:
    """Wait until a fault on the path has been applied."""

    async def struck() -> bool:
        return any(
            fault.hits for fault in world.twilio.faults.standing if fault.path.pattern == path
        )

    await until(struck, f"a call to {path}")


async def late_suspension(
    world: World, organization_id: str, subscription_id: str
) -> asyncio.Task[None]:
    """The organization was suspended and is paid again, while a call of that suspension is still in
    progress.
    """
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    path = account_path(await world.account_sid(organization_id))
    world.twilio.faults.add("slow", method="POST", path=path, times=1, seconds=4)
    step = Step(organization_id=organization_id, epoch=1)
    late = asyncio.create_task(world.services.enforcement.suspend_twilio_subaccount(step))
    await tried(world, path)
    await world.pay(subscription_id)
    await world.applied(organization_id, "active")
    return late


async def suspended_late(world: World, organization_id: str) -> None:
    account_sid = await world.account_sid(organization_id)

    async def arrived() -> bool:
        return world.twilio.state.status_changes.count((account_sid, "suspended")) == 2

    await until(arrived, "the late suspension")
