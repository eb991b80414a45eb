"""The stories of the recorded histories: one for each path through a workflow, in a world with a
worker.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from activities.audit.passes import Pass
from activities.inbox.event_backfill import Settled
from activities.workflow_contracts import (
    LIFECYCLE,
    RECONCILE_EVENTS,
    RECONCILIATION,
    Lifecycle,
    bulk_act_workflow_id,
    campaign_workflow_id,
    organization_workflow_id,
    switch_workflow_id,
    usage_look_workflow_id,
)
from domain.audit.reconciliation import Subject
from domain.campaigns.waits import Waits
from domain.switching.switch import SwitchStatus
from simulators.twilio.app import MAIN_SID
from tests.workflow.switching import customers
from tests.world import World, until

Handle = WorkflowHandle[object, object]


async def suspended_and_reactivated(world: World) -> Handle:
    organization_id, subscription_id = await world.organization()
    await world.at_rest(organization_id)
    await _deliver(world, subscription_id, "suspend")
    await world.applied(organization_id, "suspended")
    await world.at_rest(organization_id)
    await _deliver(world, subscription_id, "pay")
    await world.applied(organization_id, "active")
    return await _lifecycle(world, organization_id)


async def rung_at_rest(world: World) -> Handle:
    organization_id, _ = await world.organization()
    await world.applied(organization_id, "active")
    for _ in range(2):
        await world.look_again(organization_id)
    return await _lifecycle(world, organization_id)


async def queried_and_suspended_on_several_queues(world: World) -> Handle:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    await _deliver(world, subscription_id, "suspend")
    await world.applied(organization_id, "suspended")
    return await _lifecycle(world, organization_id)


async def superseded_in_its_first_step(world: World) -> Handle:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    account = await world.account_sid(organization_id)
    fault = world.twilio.faults.add(
        "503", method="POST", path=f"/2010-04-01/Accounts/{account}.json"
    )
    await _deliver(world, subscription_id, "suspend")

    async def tried() -> bool:
        return fault.hits > 0

    await until(tried)
    await _deliver(world, subscription_id, "pay")

    async def turned() -> bool:
        return (await world.standing(organization_id)).status == "active"

    await until(turned)
    world.twilio.faults.standing.remove(fault)
    await world.applied(organization_id, "active")
    return await _lifecycle(world, organization_id)


async def stuck_and_freed(world: World) -> Handle:
    """Twilio refuses our credentials for a while: the first step waits for a person, the others
    run.
    """
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    account = world.twilio.state.accounts[MAIN_SID]
    token, account.auth_token = account.auth_token, "another"
    await _deliver(world, subscription_id, "suspend")

    async def stuck() -> bool:
        return "stuck" in await world.alerts(organization_id)

    await until(stuck)
    account.auth_token = token
    await world.ring(organization_id)
    await world.applied(organization_id, "suspended")
    return await _lifecycle(world, organization_id)


async def grace_ended_by_the_timer(world: World) -> Handle:
    organization_id, subscription_id = await world.organization(grace=3)
    await world.at_rest(organization_id)
    await _deliver(world, subscription_id, "fail_payment")
    await world.applied(organization_id, "suspended")
    return await _lifecycle(world, organization_id)


async def grace_paid_in_time(world: World) -> Handle:
    organization_id, subscription_id = await world.organization()
    await world.at_rest(organization_id)
    await _deliver(world, subscription_id, "fail_payment")
    await world.at_rest(organization_id)
    await _deliver(world, subscription_id, "pay")
    await world.at_rest(organization_id)
    return await _lifecycle(world, organization_id)


async def continued_as_new(world: World) -> Handle:
    """The first run of a lifecycle with short runs, notified until it continues as new."""
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    client, workflow_id = world.services.client, organization_workflow_id(organization_id)
    await client.get_workflow_handle(workflow_id).terminate("to begin again with short runs")
    first = await client.start_workflow(
        LIFECYCLE,
        Lifecycle(organization_id=organization_id, applied_epoch=0, longest_history=20),
        id=workflow_id,
        task_queue=world.services.settings.lifecycle_task_queue,
    )
    await _deliver(world, subscription_id, "suspend")
    await world.applied(organization_id, "suspended")
    await world.at_rest(organization_id)
    run = client.get_workflow_handle(workflow_id, run_id=first.result_run_id)

    async def continued() -> bool:
        return (await run.describe()).status is WorkflowExecutionStatus.CONTINUED_AS_NEW

    while not await continued():
        await world.look_again(organization_id)
    return run


async def campaign_finished(world: World) -> Handle:
    organization_id, campaign_id = await _sending(world, recipients=25)
    await _campaign_is(world, organization_id, campaign_id, "completed")
    return await _run_of(world, organization_id, campaign_id)


async def campaign_parked_and_resumed(world: World) -> Handle:
    """It parks for lack of money, and resumes after a credit."""
    organization_id, campaign_id = await _sending(world, recipients=5, balance="0.02")
    await _campaign_is(world, organization_id, campaign_id, "parked")
    await world.post(
        f"/v1/organizations/{organization_id}/wallet/credits",
        {"reference_id": "second", "amount": "1.00", "currency": "USD"},
    )
    await _campaign_is(world, organization_id, campaign_id, "completed")
    return await _run_of(world, organization_id, campaign_id)


async def campaign_rung_in_a_pause(world: World) -> Handle:
    """Twilio requests a minute's wait; a person ends it early."""
    organization_id, campaign_id = await _sending(world, recipients=5, start=False)
    path = f"/2010-04-01/Accounts/{await world.account_sid(organization_id)}/Messages.json"
    world.twilio.faults.add("429", method="POST", path=path, times=1, retry_after=60)
    base = f"/v1/organizations/{organization_id}/campaigns/{campaign_id}"
    await world.post(f"{base}/start")

    async def waits() -> bool:
        return (
            await world.campaign_now(organization_id, campaign_id)
        ).waits_for == Waits.TWILIO_LIMIT

    await until(waits)
    await world.post(f"{base}/pause")
    await world.post(f"{base}/resume")
    await _campaign_is(world, organization_id, campaign_id, "completed")
    return await _run_of(world, organization_id, campaign_id)


async def campaign_with_unknown(world: World) -> Handle:
    """Twilio accepts a message but sends neither a response nor a callback: it is looked up after a
    minute.
    """
    world.twilio.callbacks.faults.add("lost")
    organization_id, campaign_id = await _sending(world, recipients=2, start=False)
    account = await world.account_sid(organization_id)
    world.twilio.faults.add(
        "reset_after_acceptance",
        method="POST",
        path=f"/2010-04-01/Accounts/{account}/Messages",
        times=1,
    )
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/start")
    handle = await _run_of(world, organization_id, campaign_id)
    await asyncio.wait_for(handle.result(), 240)
    return handle


async def reconciled(world: World) -> Handle:
    """A subaccount differs, and another is not in Twilio's list."""
    found = [(await world.organization())[0] for _ in range(3)]
    for organization_id in found:
        await world.applied(organization_id, "active")
    gone, differing = [await world.account_sid(organization_id) for organization_id in found[:2]]
    del world.twilio.state.accounts[gone]
    await world.twilio_control.post(
        f"/_sim/accounts/{differing}/status", json={"status": "suspended"}
    )
    started: Handle = await world.services.client.start_workflow(
        RECONCILIATION,
        Pass(subject=Subject.TWILIO),
        id=f"reconcile-twilio/{found[0]}",
        task_queue=world.services.settings.lifecycle_task_queue,
    )
    await started.result()
    return started


async def reconciled_events(world: World) -> Handle:
    """One event was never delivered."""
    organization_id, subscription_id = await world.organization()
    await world.at_rest(organization_id)
    await world.act(f"subscriptions/{subscription_id}/suspend")
    started: Handle = await world.services.client.start_workflow(
        RECONCILE_EVENTS,
        Settled(seconds=-1),
        id=f"reconcile-events/{organization_id}",
        task_queue=world.services.settings.lifecycle_task_queue,
    )
    await started.result()
    await world.applied(organization_id, "suspended")
    return started


async def looked_at_usage(world: World) -> Handle:
    """A usage trigger fired, and the subaccount had sent a message past us."""
    organization_id, _ = await world.organization()
    await world.applied(organization_id, "active")
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]
    world.twilio.messages.accept(
        account, {"To": "+14155550100", "From": "+15005550006", "Body": "Hello"}
    )
    await world.services.notifier.notify_usage(organization_id)
    handle: Handle = world.services.client.get_workflow_handle(
        usage_look_workflow_id(organization_id)
    )
    await handle.result()
    return handle


async def acted_on_many(world: World) -> Handle:
    """A confirmed act over the organizations that a filter finds."""
    organization_id, _ = await world.organization()
    act = {"act": "freeze", "filter": {"q": organization_id}, "reason": "abuse"}
    preview = await world.post("/v1/bulk-acts", act)
    await world.post(f"/v1/bulk-acts/{preview['id']}/confirm", {"digest": preview["digest"]})
    await world.services.notifier.notify_bulk_act(UUID(preview["id"]))
    handle: Handle = world.services.client.get_workflow_handle(
        bulk_act_workflow_id(UUID(preview["id"]))
    )
    await handle.result()
    return handle


async def switched_to_stripe(world: World) -> Handle:
    customer = await customers.customer(world)
    await customers.start_switch(world, customer)
    await customers.reached(world, customer, SwitchStatus.OFFERED)
    await customers.consent(world, customer)
    await customers.reached(world, customer, SwitchStatus.COMPLETED)
    return await _switch(world, customer.organization_id)


async def switch_waited_for_a_renewal_and_canceled(world: World) -> Handle:
    """The renewal is near; after it the customer cancels during the checkout."""
    customer = await customers.customer(world, renews_in=timedelta(hours=1))
    await customers.start_switch(world, customer)
    await customers.reached(world, customer, SwitchStatus.WAITING)
    await world.pay(customer.subscription_id)
    await world.services.notifier.notify_switch(customer.organization_id)
    await customers.reached(world, customer, SwitchStatus.OFFERED)
    await customers.cancel(world, customer)
    await customers.reached(world, customer, SwitchStatus.CANCELED)
    return await _switch(world, customer.organization_id)


SCENARIOS: tuple[Callable[[World], Awaitable[Handle]], ...] = (
    suspended_and_reactivated,
    rung_at_rest,
    queried_and_suspended_on_several_queues,
    superseded_in_its_first_step,
    stuck_and_freed,
    grace_ended_by_the_timer,
    grace_paid_in_time,
    continued_as_new,
    campaign_finished,
    campaign_parked_and_resumed,
    campaign_rung_in_a_pause,
    campaign_with_unknown,
    reconciled,
    reconciled_events,
    looked_at_usage,
    acted_on_many,
    switched_to_stripe,
    switch_waited_for_a_renewal_and_canceled,
)


async def _deliver(world: World, subscription_id: str, what: str) -> None:
    for event_id in await world.happen(f"subscriptions/{subscription_id}/{what}"):
        assert await world.deliver(event_id) == 200


async def _lifecycle(world: World, organization_id: str) -> Handle:
    await world.at_rest(organization_id)
    return world.services.client.get_workflow_handle(organization_workflow_id(organization_id))


async def _switch(world: World, organization_id: str) -> Handle:
    handle = world.services.client.get_workflow_handle(switch_workflow_id(organization_id))
    await handle.result()
    return handle


async def _sending(
    world: World, *, recipients: int, balance: str = "10.00", start: bool = True
) -> tuple[str, UUID]:
    organization_id, _ = await world.organization(balance=balance)
    await world.applied(organization_id, "active")
    return organization_id, await world.campaign(
        organization_id, recipients=recipients, start=start
    )


async def _campaign_is(world: World, organization_id: str, campaign_id: UUID, status: str) -> None:
    async def reached() -> bool:
        return (await world.campaign_now(organization_id, campaign_id)).status == status

    await until(reached, f"a campaign {status}")


async def _run_of(world: World, organization_id: str, campaign_id: UUID) -> Handle:
    return world.services.client.get_workflow_handle(
        campaign_workflow_id(organization_id, campaign_id)
    )
