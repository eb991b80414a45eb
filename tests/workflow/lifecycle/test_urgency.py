"""A suspension, and the query before it, go before everything else that waits on their queues."""

from temporalio.api.enums.v1 import EventType

from activities.workflow_contracts import organization_workflow_id
from tests.world import World


async def priorities(world: World, organization_id: str) -> list[tuple[str, int]]:
    """Each scheduled activity's name and priority; 0 is the default."""
    workflow_id = organization_workflow_id(organization_id)
    history = await world.services.client.get_workflow_handle(workflow_id).fetch_history()
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    return [(each.activity_type.name, each.priority.priority_key) for each in scheduled]


async def test_only_what_a_suspension_waits_for_goes_first(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    before = await priorities(world, organization_id)
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    suspending = (await priorities(world, organization_id))[len(before) :]
    await world.pay(subscription_id)
    await world.applied(organization_id, "active")
    after = await priorities(world, organization_id)

    urgent = {name for name, priority in suspending if priority == 1}
    assert {priority for _, priority in before} == {0}
    assert urgent == {
        "confirm_subscription",
        "suspend_twilio_subaccount",
        "freeze_wallet",
        "pause_campaigns",
    }
    assert after[-1] == ("resume_eligible_campaigns", 0)
