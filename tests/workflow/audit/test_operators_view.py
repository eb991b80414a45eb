"""The Temporal UI alone shows an operator who is suspended, why, and what is stuck; no run stalls."""

import asyncio

from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest

from activities.workflow_contracts import (
    ORGANIZATION_ID,
    STANDING,
    STUCK,
    Lifecycle,
    campaign_workflow_id,
    organization_workflow_id,
)
from domain.lifecycle.standing import Status
from tests.workflow.campaigns.sent import comes_to
from tests.workflow.stops import details, restart_lifecycle
from tests.world import World, until


async def found(world: World, query: str) -> set[str]:
    return {execution.id async for execution in world.services.client.list_workflows(query)}


async def test_standings_can_be_searched_by_organization_and_by_what_they_are(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    active_id, _ = await world.organization()
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    workflow_id = organization_workflow_id(organization_id)

    async def listed() -> bool:
        suspended = await found(world, "Standing = 'suspended' AND Stuck = false")
        return workflow_id in suspended and organization_workflow_id(active_id) not in suspended

    await until(listed, "the visibility store")
    assert workflow_id in await found(world, f"OrganizationId = '{organization_id}'")
    described = await world.services.client.get_workflow_handle(workflow_id).describe()
    attributes = described.typed_search_attributes
    assert (attributes[ORGANIZATION_ID], attributes[STANDING], attributes[STUCK]) == (
        organization_id,
        "suspended",
        False,
    )
    assert await described.static_summary() == f"Enforcement for organization {organization_id}"


async def test_the_details_describe_the_standing_and_its_reasons(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    workflow_id = organization_workflow_id(organization_id)
    before = await details(world, workflow_id)

    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")

    async def shown() -> bool:
        return "**SUSPENDED**, at rest, epoch 1" in await details(world, workflow_id)

    await until(shown, "the details")
    assert "**ACTIVE**, " in before
    assert "blocks: nonpayment" in await details(world, workflow_id)


async def test_a_campaign_s_run_says_where_it_waits_and_why(world: World) -> None:
    organization_id, _ = await world.organization(balance="0.05")
    campaign_id = await world.campaign(organization_id, recipients=10)
    await comes_to(world, organization_id, campaign_id, "parked")
    workflow_id = campaign_workflow_id(organization_id, campaign_id)

    async def shown() -> bool:
        why = "the wallet has 0.00 USD available, and the next message costs 0.01 USD"
        return (
            await details(world, workflow_id)
            == f"**PARKED**: insufficient_funds ({why}), at message 6 of 10"
        )

    await until(shown, "the details")
    history = await world.services.client.get_workflow_handle(workflow_id).fetch_history()
    summaries = {event.user_metadata.summary.data.decode() for event in history.events}
    assert '"pay for up to 2000 messages"' in summaries
    assert '"hand over what is paid for"' in summaries


async def test_the_steps_carry_their_epoch_as_their_summary(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")

    handle = world.services.client.get_workflow_handle(organization_workflow_id(organization_id))
    summaries = {
        event.user_metadata.summary.data.decode() for event in (await handle.fetch_history()).events
    }

    assert {'"epoch 1"', '"query the provider, apply its answer"'} <= summaries


async def test_continuing_as_new_during_notifications_loses_nothing(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    await restart_lifecycle(world, Lifecycle(organization_id=organization_id, longest_history=3))
    handle = world.services.client.get_workflow_handle(organization_workflow_id(organization_id))
    first_run = (await handle.describe()).run_id

    async def ring_on() -> None:
        for _ in range(40):
            await world.ring(organization_id)

    ringing = [asyncio.create_task(ring_on()) for _ in range(3)]
    for _ in range(2):
        await world.lapse(subscription_id)
        await world.applied(organization_id, "suspended")
        await world.pay(subscription_id)
        await world.applied(organization_id, "active")
    await asyncio.gather(*ringing)
    standing = await world.at_rest(organization_id)

    assert (standing.status, standing.epoch) == (Status.ACTIVE, 4)
    assert (await handle.describe()).run_id != first_run
    assert (await world.look_again(organization_id)).epoch == 4
    await world.certify()


async def test_a_new_run_takes_over_its_limits_and_what_is_applied(world: World) -> None:
    organization_id, _ = await world.organization()
    await world.applied(organization_id, "active")
    start = Lifecycle(
        organization_id=organization_id,
        self_check_seconds=777,
        confirm_for_seconds=7,
        longest_history=3,
    )
    await restart_lifecycle(world, start)
    handle = world.services.client.get_workflow_handle(organization_workflow_id(organization_id))
    first_run = (await handle.describe()).run_id

    async def renewed() -> bool:
        return (await handle.describe()).run_id != first_run

    await until(renewed, "a new run")
    history = await world.services.client.get_workflow_handle(handle.id).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    [carried] = await world.services.client.data_converter.decode(
        started.input.payloads, [Lifecycle]
    )
    assert carried == Lifecycle(
        organization_id=organization_id,
        self_check_seconds=777,
        confirm_for_seconds=7,
        longest_history=3,
        applied_epoch=0,
    )


async def test_rubbish_in_a_signal_stalls_nothing(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    client = world.services.client
    handle = client.get_workflow_handle(organization_workflow_id(organization_id))
    rubbish = [
        [Payload(metadata={"encoding": b"json/plain"}, data=b"{not json")],
        [Payload(metadata={"encoding": b"of-nobody"}, data=b"\x00\xff")],
        [Payload(data=b"bare")],
        [],
        [Payload(metadata={"encoding": b"json/plain"}, data=b"1")] * 3,
    ]
    for payloads in rubbish:
        await client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=handle.id),
                signal_name="ring",
                input=Payloads(payloads=payloads),
            )
        )
    await handle.signal("no_such_signal", {"what": 1})

    await world.lapse(subscription_id)

    await world.applied(organization_id, "suspended")
    await world.certify()
