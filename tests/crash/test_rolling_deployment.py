"""A worker is replaced by the next build during a suspension, as in
docs/how-to/rolling-deployment.md.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from temporalio.api.enums.v1 import EventType

from activities.workflow_contracts import organization_workflow_id
from devservers.ports import free_ports
from devservers.temporal import find_program
from domain.lifecycle.standing import Status
from runtime.settings import Settings
from tests.crash.processes import worker
from tests.world import World, until

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "rolling-deployment.md"
STEPS = ["suspend_twilio_subaccount", "freeze_wallet", "pause_campaigns"]
PROMOTE = "worker deployment set-current-version --deployment-name tollgate --build-id"
DESCRIBE = "worker deployment describe --name tollgate"


async def test_the_next_build_ends_the_suspension_that_the_last_one_began(world: World) -> None:
    async with worker(world, "a", TOLLGATE_BUILD_ID="build-a") as first:
        organization_id, subscription_id = await world.organization()
        await world.applied(organization_id, "active")
        async with _twilio_down(world, organization_id, subscription_id):
            assert await first.terminate() == 0
        async with worker(world, "b", TOLLGATE_BUILD_ID="build-b") as second:
            await world.applied(organization_id, "suspended")
            await _all_in_order(world, organization_id)
            assert await second.terminate() == 0


async def test_with_worker_versioning_the_promoted_build_takes_over(world: World) -> None:
    async with worker(world, "a", "--versioned", TOLLGATE_BUILD_ID="build-a") as first:
        await _promote(world, "build-a")
        organization_id, subscription_id = await world.organization()
        await world.applied(organization_id, "active")
        async with worker(world, "b", "--versioned", TOLLGATE_BUILD_ID="build-b") as second:
            async with _twilio_down(world, organization_id, subscription_id):
                await _promote(world, "build-b")
                assert await first.terminate() == 0
            await world.applied(organization_id, "suspended")
            await _all_in_order(world, organization_id)
            assert "build-b" in (await _temporal(world, DESCRIBE) or "")
            assert await second.terminate() == 0


async def test_a_worker_tells_prometheus_what_waits_in_temporal(world: World) -> None:
    [port] = free_ports(1)
    address = f"127.0.0.1:{port}"
    async with worker(world, "a", "--metrics", address), httpx.AsyncClient() as prometheus:
        organization_id, _ = await world.organization()
        await world.applied(organization_id, "active")

        metrics = (await prometheus.get(f"http://{address}/metrics")).text

    assert "temporal_activity_schedule_to_start_latency_seconds_bucket" in metrics
    assert "temporal_worker_task_slots_available" in metrics


def test_the_how_to_names_the_commands_that_were_run() -> None:
    page = HOW_TO.read_text()

    assert f"temporal {PROMOTE}" in page
    assert f"temporal {DESCRIBE}" in page
    assert "pytest tests/replay" in page
    assert "python -m tests.replay.record" in page


@asynccontextmanager
async def _twilio_down(
    world: World, organization_id: str, subscription_id: str
) -> AsyncIterator[None]:
    """Suspended while Twilio does not answer: the first step is retried until the block ends."""
    account = await world.account_sid(organization_id)
    fault = world.twilio.faults.add(
        "503", method="POST", path=f"/2010-04-01/Accounts/{account}.json"
    )
    for event_id in await world.happen(f"subscriptions/{subscription_id}/suspend"):
        assert await world.deliver(event_id) == 200

    async def tried() -> bool:
        return fault.hits > 0

    await until(tried, "the first step tried")
    yield
    world.twilio.faults.clear()


async def _all_in_order(world: World, organization_id: str) -> None:
    """Each step was scheduled once and in order, and no task returned to the first build."""
    receipt = await world.receipt(organization_id)
    history = await world.services.client.get_workflow_handle(
        organization_workflow_id(organization_id)
    ).fetch_history()
    scheduled = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    completed = [
        event.workflow_task_completed_event_attributes
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]
    builds = [
        each.deployment_version.build_id or each.worker_version.build_id for each in completed
    ]

    assert receipt.status is Status.SUSPENDED
    assert [step["step"] for step in receipt.steps] == STEPS
    assert [step for step in scheduled if step in STEPS] == STEPS
    assert builds == sorted(builds)
    assert set(builds) == {"build-a", "build-b"}
    assert await world.subaccount_status(organization_id) == "suspended"
    await world.certify()


async def _promote(world: World, build: str) -> None:
    """Refused until a worker of that build has polled. Other tests' queues on the same server are
    ignored.
    """

    async def promoted() -> bool:
        return (
            await _temporal(world, f"{PROMOTE} {build} --yes --ignore-missing-task-queues")
            is not None
        )

    await until(promoted, f"{build} promoted")


async def _temporal(world: World, command: str) -> str | None:
    """The output of Temporal's command line, None if it fails."""
    program = await find_program(Settings().cache_dir)
    address = world.services.client.service_client.config.target_host
    process = await asyncio.create_subprocess_exec(
        str(program),
        *command.split(),
        "--address",
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    return output.decode() if process.returncode == 0 else None
