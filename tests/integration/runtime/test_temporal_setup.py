"""What Tollgate sets up at Temporal, and how often; a proxy counts and refuses calls."""

import asyncio
import re
import subprocess
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.envconfig import ClientConnectConfig
from temporalio.service import RPCError

from activities.audit.retired import Page
from api.health import Readiness
from devservers import temporal
from runtime import client, schedules, search_attributes
from runtime.relay import Relay
from runtime.schedules import PLAN, SCHEDULES, Planned
from runtime.settings import BadSettings, Settings
from runtime.wiring import Services
from simulators.paypal.certificate import Authority
from tests import temporal_proxy
from tests.builders import onboard, rows, run
from tests.temporal_proxy import ADMINISTRATIVE, OPERATOR, WORKFLOW, Proxy
from tests.world import until, world

BEHIND = """
    UPDATE standings SET epoch = 1, decided_at = now() - interval '5 minutes' WHERE organization_id = :of
"""
RUNG = """
    SELECT organization_id FROM standings
    WHERE organization_id LIKE 'refused-%' AND rung_at IS NOT NULL ORDER BY 1
"""
SCHEDULE_CALLS = ("CreateSchedule", "DescribeSchedule", "UpdateSchedule")


@pytest_asyncio.fixture
async def proxy(temporal_client: Client) -> AsyncIterator[Proxy]:
    async with temporal_proxy.serve(temporal_client.service_client.config.target_host) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def connected(proxy: Proxy) -> Client:
    return await client.connect(ClientConnectConfig(target_host=proxy.address))


@pytest_asyncio.fixture
async def bare(temporal_client: Client, proxy: Proxy) -> Client:
    """In a namespace without search attributes."""
    name = f"bare-{uuid.uuid4().hex[:8]}"
    await temporal_client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )

    async def connect() -> Client | None:
        try:
            return await client.connect(
                ClientConnectConfig(target_host=proxy.address, namespace=name)
            )
        except BadSettings:
            return None  # it is not known everywhere yet

    found = await until(connect, "the namespace")
    assert found is not None
    return found


@pytest_asyncio.fixture
async def services(
    connected: Client, database_url: str, tmp_path: Path, authority: Authority
) -> AsyncIterator[Services]:
    """With a suspension of which nobody could notify: the API does not reach Temporal."""
    nowhere = await client.connect(ClientConnectConfig(target_host="127.0.0.1:1"), lazy=True)
    async with world(database_url, nowhere, tmp_path, authority) as running_world:
        _, subscription_id = await running_world.organization()
        await running_world.lapse(subscription_id)
        built = running_world.services
        notifier = replace(built.notifier, client=connected)
        yield replace(built, client=connected, notifier=notifier)


@pytest.fixture
def relay(services: Services) -> Relay:
    return Relay(services)


@pytest.fixture
def plan() -> Sequence[Planned]:
    return [replace(PLAN[0], id=f"test-{uuid.uuid4().hex[:8]}")]


def made(proxy: Proxy) -> list[int]:
    return [proxy.calls[name] for name in SCHEDULE_CALLS]


async def test_schedules_are_created_once_and_then_left_alone(proxy: Proxy, relay: Relay) -> None:
    await relay.step()  # they may exist, of another test's task queue
    once = made(proxy)
    for _ in range(20):
        await relay.step()

    assert once[0] <= len(SCHEDULES)
    assert once[2] <= len(SCHEDULES)
    assert made(proxy) == once


async def test_schedules_are_not_made_again_while_notifications_fail(
    proxy: Proxy, relay: Relay
) -> None:
    proxy.refused = (f"{WORKFLOW}StartWorkflowExecution", f"{WORKFLOW}SignalWithStart")
    with pytest.raises(RPCError):
        await relay.step()
    once = made(proxy)
    for _ in range(20):
        with pytest.raises(RPCError):
            await relay.step()

    assert made(proxy) == once


@pytest.mark.parametrize("refused", [(OPERATOR,), ADMINISTRATIVE])
async def test_the_relay_notifies_although_administrative_calls_are_refused(
    proxy: Proxy, relay: Relay, refused: tuple[str, ...]
) -> None:
    proxy.refused = refused

    await relay.step()

    assert proxy.calls["SignalWithStartWorkflowExecution"] == 1


@pytest.mark.parametrize("name", ["a", "z"])
async def test_an_organization_that_cannot_be_notified_does_not_stop_those_around_it(
    proxy: Proxy, relay: Relay, services: Services, name: str
) -> None:
    """Whether it comes first or last; it is due again within seconds."""
    for id_ in ("refused-a", "refused-m", "refused-z"):
        await onboard(services.engine, id_)
        await run(services.engine, BEHIND, of=id_)
    proxy.refused, proxy.naming = (f"{WORKFLOW}SignalWithStart",), f"organization/refused-{name}"

    await relay.step()

    rung = [row.organization_id for row in await rows(services.engine, RUNG)]
    assert proxy.calls["SignalWithStartWorkflowExecution"] == 4
    assert rung == sorted({"refused-a", "refused-m", "refused-z"} - {f"refused-{name}"})


async def test_missing_search_attributes_are_added(bare: Client) -> None:
    lacking = await search_attributes.missing(bare)

    await search_attributes.register(bare)

    assert lacking == list(search_attributes.SEARCH_ATTRIBUTES)
    await until(partial(_knows_all, bare), "the search attributes")


async def test_search_attributes_that_may_not_be_added_name_the_commands_which_add_them(
    proxy: Proxy, bare: Client
) -> None:
    proxy.refused = (OPERATOR,)
    with pytest.raises(BadSettings) as refused:
        await search_attributes.register(bare)
    [line] = str(refused.value).splitlines()
    of_a_cluster, at_cloud = re.findall("`(.*?)`", line)

    proxy.refused = ()
    program = await temporal.find_program(Settings().cache_dir)
    await asyncio.to_thread(
        subprocess.run,
        of_a_cluster.replace("temporal operator", f"{program} operator"),
        check=True,
        shell=True,
        env={"TEMPORAL_ADDRESS": proxy.address, "HOME": "/nonexistent"},
    )

    await until(partial(_knows_all, bare), "the search attributes")
    assert at_cloud == (
        f"tcld namespace search-attributes add --namespace {bare.namespace} --search-attribute "
        "OrganizationId=Keyword --search-attribute Standing=Keyword --search-attribute Stuck=Bool"
    )


async def _knows_all(connected: Client) -> bool:
    return not await search_attributes.missing(connected)


async def test_readiness_names_missing_search_attributes_until_they_exist(
    bare: Client, services: Services
) -> None:
    readiness = Readiness(replace(services, client=bare))
    try:
        before = await readiness._look()
        await search_attributes.register(bare)

        async def ok() -> bool:
            return (await readiness._look()).temporal.ok

        await until(ok, "Temporal is ready")
    finally:
        await readiness.close()

    assert before.status == "degraded"
    assert "lacks the search attributes OrganizationId, Standing, Stuck" in before.temporal.detail


async def test_a_key_that_may_not_read_the_namespace_is_a_wrong_setting(proxy: Proxy) -> None:
    proxy.refused = (f"{WORKFLOW}DescribeNamespace",)

    with pytest.raises(BadSettings, match=r"^TEMPORAL_API_KEY: .* a worker has to read and write"):
        await client.connect(ClientConnectConfig(target_host=proxy.address))


async def test_a_newer_version_of_a_schedule_is_taken_over_once(
    proxy: Proxy, connected: Client, plan: Sequence[Planned]
) -> None:
    await schedules.ensure(connected, "queue", plan)
    handle = connected.get_schedule_handle(plan[0].id)
    await handle.pause(note="looking into it")
    newer = [replace(plan[0], version=2, every=timedelta(minutes=5))]
    for planned in (newer, newer, plan):  # the last one is a process of the earlier build
        await schedules.ensure(connected, "queue", planned)

    found = (await handle.describe()).schedule
    await handle.delete()

    assert found.spec.intervals[0].every == timedelta(minutes=5)
    assert found.state.paused
    assert made(proxy)[0] == 1
    assert made(proxy)[2] == 1


async def test_a_schedule_that_cannot_be_created_does_not_stop_the_others(
    connected: Client, plan: Sequence[Planned]
) -> None:
    """No schedule's interval may be negative."""
    broken = replace(plan[0], id=f"{plan[0].id}-broken", every=timedelta(seconds=-1))

    with pytest.raises(RPCError):
        await schedules.ensure(connected, "queue", [broken, *plan])

    handle = connected.get_schedule_handle(plan[0].id)
    assert (await handle.describe()).schedule.spec.intervals
    await handle.delete()


async def test_a_retired_schedule_is_deleted_and_what_it_started_is_canceled(
    connected: Client, plan: Sequence[Planned]
) -> None:
    retired = replace(plan[0], workflow="Reconcile", argument=Page())
    await schedules.ensure(connected, f"nobody-{retired.id}", [retired], ())
    handle = connected.get_schedule_handle(retired.id)
    await handle.trigger()

    async def started() -> str | None:
        [*running] = (await handle.describe()).info.running_actions
        if not running:
            return None
        assert isinstance(running[0], ScheduleActionExecutionStartWorkflow)
        return running[0].workflow_id

    workflow_id = await until(started, "a run")
    assert workflow_id is not None
    for _ in range(2):
        await schedules.ensure(connected, "queue", (), [retired.id])

    with pytest.raises(RPCError, match="not found"):
        await handle.describe()
    history = await connected.get_workflow_handle(workflow_id).fetch_history()
    assert [
        event.event_type
        for event in history.events
        if event.HasField("workflow_execution_cancel_requested_event_attributes")
    ]
    await connected.get_workflow_handle(workflow_id).terminate()


async def test_a_schedule_that_an_operator_changed_is_kept(
    connected: Client, plan: Sequence[Planned]
) -> None:
    await schedules.ensure(connected, "queue", plan)
    handle = connected.get_schedule_handle(plan[0].id)

    def slower(current: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = current.description.schedule
        schedule.spec.intervals = [replace(schedule.spec.intervals[0], every=timedelta(hours=3))]
        return ScheduleUpdate(schedule)

    await handle.update(slower)
    await schedules.ensure(connected, "queue", plan)

    found = (await handle.describe()).schedule
    await handle.delete()

    assert found.spec.intervals[0].every == timedelta(hours=3)


def test_a_changed_schedule_has_a_new_version() -> None:
    """Otherwise the schedules that exist stay as they are: whoever changes a row raises its version."""
    assert [
        (planned.id, planned.version, planned.workflow, planned.every, planned.jitter)
        for planned in PLAN
    ] == [
        *(
            (f"reconcile-{subject}", 1, "Reconciliation", every, timedelta(minutes=1))
            for subject, every in (
                ("audit", timedelta(minutes=15)),
                ("prices", timedelta(hours=1)),
                ("messages", timedelta(minutes=15)),
                ("waiting", timedelta(minutes=15)),
                ("twilio", timedelta(minutes=15)),
                ("foreign", timedelta(minutes=5)),
                ("tripwires", timedelta(minutes=5)),
                ("rates", timedelta(days=1)),
                ("senders", timedelta(days=1)),
                ("balance", timedelta(minutes=15)),
                ("usage", timedelta(minutes=2)),
                ("paypal", timedelta(minutes=15)),
                ("stripe", timedelta(minutes=15)),
            )
        ),
        ("reconcile-events", 2, "ReconcileEvents", timedelta(minutes=15), timedelta(minutes=1)),
    ]
