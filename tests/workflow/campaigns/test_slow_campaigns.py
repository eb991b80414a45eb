"""A slow campaign costs few Temporal actions: its attempts are longer, and have fewer heartbeats."""

from functools import partial
from uuid import UUID

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from activities.workflow_contracts import campaign_workflow_id
from bench import actions
from devservers.temporal import NAMESPACE
from tests.world import World, until
from workflows import options

HEARTBEAT = "RecordActivityTaskHeartbeat"


async def history(world: World, organization_id: str, campaign_id: UUID) -> list[HistoryEvent]:
    workflow_id = campaign_workflow_id(organization_id, campaign_id)
    handle = world.services.client.get_workflow_handle(workflow_id)
    return list((await handle.fetch_history()).events)


async def slow_campaign(world: World, *, recipients: int, per_second: int) -> tuple[str, UUID]:
    organization_id, _ = await world.organization()
    pace = {"messages_per_second": per_second}
    assert (await world.api.patch(f"/v1/organizations/{organization_id}", json=pace)).is_success
    return organization_id, await world.campaign(organization_id, recipients=recipients)


async def completed(world: World, organization_id: str, campaign_id: UUID) -> bool:
    return (await world.campaign_now(organization_id, campaign_id)).status == "completed"


@pytest.mark.parametrize("per_second", [1, 1.5, 2, 5, 10, 19.9, 20, 100])
def test_a_turn_costs_at_most_a_fiftieth_of_an_action_for_each_message(per_second: float) -> None:
    turn = options.turn(per_second)
    billed = 1 + actions.heartbeats_within(turn.length, turn.heartbeat)

    assert billed / (per_second * turn.length.total_seconds()) <= 0.02
    assert turn.length < turn.limit


async def test_a_paced_campaign_has_a_slow_campaigns_turn_from_its_first_message(
    world: World,
) -> None:
    organization_id, campaign_id = await slow_campaign(world, recipients=2, per_second=1)
    await until(partial(completed, world, organization_id, campaign_id), "the campaign's end")

    [timeout] = [
        event.activity_task_scheduled_event_attributes.heartbeat_timeout.ToTimedelta()
        for event in await history(world, organization_id, campaign_id)
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        and event.activity_task_scheduled_event_attributes.activity_type.name == "send_batch"
    ]

    assert timeout == options.turn(1).heartbeat


@pytest.mark.soak
async def test_a_campaign_of_one_message_a_second_costs_at_most_a_fiftieth_of_an_action_each(
    idle_world: World,
) -> None:
    buffer = MetricBuffer(10_000)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer))
    connected = idle_world.services.client.service_client.config.target_host
    client = await type(idle_world.services.client).connect(
        connected,
        namespace=NAMESPACE,
        data_converter=idle_world.services.client.data_converter,
        runtime=runtime,
    )
    idle_world.start_worker(client)
    recipients = 300
    organization_id, campaign_id = await slow_campaign(
        idle_world, recipients=recipients, per_second=1
    )
    for _ in range(3):  # each limit is shorter than the campaign
        try:
            await until(partial(completed, idle_world, organization_id, campaign_id), "its end")
        except AssertionError:
            continue
        break
    events = await history(idle_world, organization_id, campaign_id)
    sent = sum(
        int(update.value)
        for update in buffer.retrieve_updates()
        if update.metric.name.endswith("temporal_request")
        and update.attributes.get("operation") == HEARTBEAT
    )

    assert await completed(idle_world, organization_id, campaign_id)
    assert 0 < sent <= actions.heartbeats(events)
    assert (actions.actions(events) + sent) / recipients <= 0.02
