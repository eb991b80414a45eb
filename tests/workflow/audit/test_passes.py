"""Passes of the reconciliation run beside each other, and continue where an attempt stopped."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from activities.audit.passes import Pass
from activities.workflow_contracts import RECONCILIATION, reconciliation_queue
from domain.audit.reconciliation import Subject
from tests.workflow.audit.test_reconcile import reconcile
from tests.workflow.stops import subscription_path
from tests.world import LIMIT, World

AGES = "SELECT subject FROM reconciliations WHERE began_at IS NOT NULL ORDER BY subject"
STUCK = (Subject.AUDIT, Subject.PAYPAL)


@pytest_asyncio.fixture
async def own_world(idle_world: World) -> AsyncIterator[World]:
    idle_world.start_worker()
    yield idle_world


async def begin(world: World, subject: Subject) -> WorkflowHandle[object, Pass]:
    return await world.services.client.start_workflow(
        RECONCILIATION,
        Pass(subject=subject),
        id=f"reconcile-{subject.value}-{uuid.uuid4().hex}",
        task_queue=world.services.settings.lifecycle_task_queue,
        result_type=Pass,
    )


async def complete(world: World) -> list[str]:
    return list((await world.read(lambda conn: conn.execute(text(AGES)))).scalars())


async def test_an_endless_audit_and_a_provider_that_hangs_delay_no_other_pass(
    own_world: World,
) -> None:
    world = own_world
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    hanging = world.paypal.faults.add(
        "timeout_before", method="GET", path=subscription_path(subscription_id)
    )

    async with world.services.engine.begin() as conn:
        await conn.execute(text("LOCK TABLE ledger_seals IN ACCESS EXCLUSIVE MODE"))
        running = {subject: await begin(world, subject) for subject in Subject}
        async with asyncio.timeout(LIMIT):
            for subject, handle in running.items():
                if subject not in STUCK:
                    assert (await handle.result()).done
        statuses = [(await running[subject].describe()).status for subject in STUCK]

    assert statuses == [WorkflowExecutionStatus.RUNNING] * 2
    assert await complete(world) == sorted(
        subject.value for subject in Subject if subject not in STUCK
    )
    world.paypal.faults.standing.remove(hanging)
    async with asyncio.timeout(LIMIT):
        for subject in STUCK:
            await running[subject].result()
    assert await complete(world) == sorted(Subject)


async def test_passes_take_no_slot_from_the_steps_of_a_lifecycle(own_world: World) -> None:
    queue = own_world.services.settings.lifecycle_task_queue
    handle = await begin(own_world, Subject.BALANCE)
    await handle.result()

    scheduled = {
        event.activity_task_scheduled_event_attributes.task_queue.name
        for event in (await handle.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    }

    assert scheduled == {reconciliation_queue(queue)}


async def test_a_further_attempt_continues_at_the_page_where_one_failed(
    own_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.twilio.adapter._MOST_LISTED", 1)
    found = [(await own_world.organization())[0] for _ in range(4)]
    for organization_id in found:
        await own_world.applied(organization_id, "active")
    lists = r"/2010-04-01/Accounts\.json"
    counted = own_world.twilio.faults.add("slow", method="GET", path=lists, skip=0)
    counted.seconds = 0.0
    failing = own_world.twilio.faults.add("503", method="GET", path=lists, skip=2, times=1)
    own_world.twilio.faults.standing.reverse()  # the first that matches applies

    await reconcile(own_world, Subject.TWILIO)

    assert (failing.hits, counted.hits) == (1, 4)
