"""Measures what an organization costs at which nothing happens: Temporal's actions in a month."""

import asyncio
import time
from datetime import datetime

from sqlalchemy import text
from temporalio.client import Client, WorkflowHandle

from activities.workflow_contracts import RING, organization_workflow_id
from bench import actions, load
from bench.load import Target
from bench.outcome import BenchFailed

PATIENCE = 60.0
_CONFIRMED = text("SELECT confirmed_at FROM subscriptions WHERE organization_id = :organization_id")


async def actions_in_a_month(target: Target, client: Client) -> float:
    [subject] = await load.onboard(target, "REST", 1)
    handle = client.get_workflow_handle(organization_workflow_id(subject.organization_id))

    async def wake() -> None:
        before = await _confirmed_at(target, subject.organization_id)
        await handle.signal(RING)
        deadline = time.monotonic() + PATIENCE
        while await _confirmed_at(target, subject.organization_id) == before or await _busy(handle):
            if time.monotonic() > deadline:
                raise BenchFailed("the lifecycle of an organization at rest did not answer")
            await asyncio.sleep(0.1)

    await wake()
    return await actions.month_at_rest(client, handle.id, wake)


async def _confirmed_at(target: Target, organization_id: str) -> datetime | None:
    async with target.engine.connect() as conn:
        at: datetime | None = (
            await conn.execute(_CONFIRMED, {"organization_id": organization_id})
        ).scalar_one()
    return at


async def _busy(handle: WorkflowHandle[object, object]) -> bool:
    description = (await handle.describe()).raw_description
    return bool(description.pending_activities) or description.HasField("pending_workflow_task")
