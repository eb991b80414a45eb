"""What the recorded histories tell: one short story for each way through a workflow, on a world
with a worker.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from activities.audit.reconciliation import Page
from activities.inbox.event_backfill import Settled
from activities.workflow_contracts import (
    LIFECYCLE,
    RECONCILE,
    RECONCILE_EVENTS,
    Lifecycle,
    campaign_workflow_id,
    organization_workflow_id,
    switch_workflow_id,
)
from domain.campaigns.waits import Waits
from domain.switching.switch import SwitchStatus
from simulators.twilio.app import MAIN_SID
from tests.workflow import customers
from tests.world import World, until

Handle = WorkflowHandle[object, object]


async def suspended_and_reactivated(here: World) -> Handle:
    organization_id, subscription_id = await here.organization()
    await here.at_rest(organization_id)
    await _deliver(here, subscription_id, "suspend")
    await here.applied(organization_id, "suspended")
    await here.at_rest(organization_id)
    await _deliver(here, subscription_id, "pay")
    await here.applied(organization_id, "active")
    return await _lifecycle(here, organization_id)


async def superseded_in_its_first_step(here: World) -> Handle:
    organization_id, subscription_id = await here.organization()
    await here.applied(organization_id, "active")
    account = await here.account_sid(organization_id)
    fault = here.twilio.faults.add(
        "503", method="POST", path=f"/2010-04-01/Accounts/{account}.json"
    )
    await _deliver(here, subscription_id, "suspend")

    async def tried() -> bool:
        return fault.hits > 0

    await until(tried)
    await _deliver(here, subscription_id, "pay")

    async def turned() -> bool:
        return (await here.standing(organization_id)).status == "active"

    await until(turned)
    here.twilio.faults.standing.remove(fault)
    await here.applied(organization_id, "active")
    return await _lifecycle(here, organization_id)


async def stuck_and_freed(here: World) -> Handle:
    """Twilio refuses our credentials for a while: the first step waits for a person, the others are
    taken.
    """
    organization_id, subscription_id = await here.organization()
    await here.applied(organization_id, "active")
    account = here.twilio.state.accounts[MAIN_SID]
    token, account.auth_token = account.auth_token, "another"
    await _deliver(here, subscription_id, "suspend")

    async def stuck() -> bool:
        return "stuck" in await here.alerts(organization_id)

    await until(stuck)
    account.auth_token = token
    await here.ring(organization_id)
    await here.applied(organization_id, "suspended")
    return await _lifecycle(here, organization_id)


async def grace_ended_by_the_timer(here: World) -> Handle:
    organization_id, subscription_id = await here.organization(grace=3)
    await here.at_rest(organization_id)
    await _deliver(here, subscription_id, "fail_payment")
    await here.applied(organization_id, "suspended")
    return await _lifecycle(here, organization_id)


async def grace_paid_in_time(here: World) -> Handle:
    organization_id, subscription_id = await here.organization()
    await here.at_rest(organization_id)
    await _deliver(here, subscription_id, "fail_payment")
    await here.at_rest(organization_id)
    await _deliver(here, subscription_id, "pay")
    await here.at_rest(organization_id)
    return await _lifecycle(here, organization_id)


async def continued_as_new(here: World) -> Handle:
    """The first run of a lifecycle whose runs are short, rung until it continues."""
    organization_id, subscription_id = await here.organization()
    await here.applied(organization_id, "active")
    client, workflow_id = here.services.client, organization_workflow_id(organization_id)
    await client.get_workflow_handle(workflow_id).terminate("to begin again with short runs")
    first = await client.start_workflow(
        LIFECYCLE,
        Lifecycle(organization_id=organization_id, applied_epoch=0, longest_history=20),
        id=workflow_id,
        task_queue=here.services.settings.lifecycle_task_queue,
    )
    await _deliver(here, subscription_id, "suspend")
    await here.applied(organization_id, "suspended")
    await here.at_rest(organization_id)
    run = client.get_workflow_handle(workflow_id, run_id=first.result_run_id)

    async def continued() -> bool:
        return (await run.describe()).status is WorkflowExecutionStatus.CONTINUED_AS_NEW

    while not await continued():
        await here.look_again(organization_id)
    return run


async def campaign_finished(here: World) -> Handle:
    organization_id, campaign_id = await _sending(here, recipients=25)
    await _campaign_is(here, organization_id, campaign_id, "completed")
    return await _run_of(here, organization_id, campaign_id)


async def campaign_parked_and_resumed(here: World) -> Handle:
    """It parks for want of money, and goes on when there is some."""
    organization_id, campaign_id = await _sending(here, recipients=5, balance="0.02")
    await _campaign_is(here, organization_id, campaign_id, "parked")
    await here.post(
        f"/v1/organizations/{organization_id}/wallet/credits",
        {"reference_id": "second", "amount": "1.00", "currency": "USD"},
    )
    await _campaign_is(here, organization_id, campaign_id, "completed")
    return await _run_of(here, organization_id, campaign_id)


async def campaign_rung_in_a_pause(here: World) -> Handle:
    """Twilio asks to wait for a minute; a person does not."""
    organization_id, campaign_id = await _sending(here, recipients=5, start=False)
    path = f"/2010-04-01/Accounts/{await here.account_sid(organization_id)}/Messages.json"
    here.twilio.faults.add("429", method="POST", path=path, times=1, retry_after=60)
    base = f"/v1/organizations/{organization_id}/campaigns/{campaign_id}"
    await here.post(f"{base}/start")

    async def waits() -> bool:
        return (
            await here.campaign_now(organization_id, campaign_id)
        ).waits_for == Waits.TWILIO_LIMIT

    await until(waits)
    await here.post(f"{base}/pause")
    await here.post(f"{base}/resume")
    await _campaign_is(here, organization_id, campaign_id, "completed")
    return await _run_of(here, organization_id, campaign_id)


async def campaign_with_unknown(here: World) -> Handle:
    """Twilio takes a message and does not say so, nor calls back: it is looked up after a
    minute.
    """
    here.twilio.callbacks.faults.add("lost")
    organization_id, campaign_id = await _sending(here, recipients=2, start=False)
    account = await here.account_sid(organization_id)
    here.twilio.faults.add(
        "reset_after_acceptance",
        method="POST",
        path=f"/2010-04-01/Accounts/{account}/Messages",
        times=1,
    )
    await here.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/start")
    handle = await _run_of(here, organization_id, campaign_id)
    await asyncio.wait_for(handle.result(), 240)
    return handle


async def reconciled_first_page(here: World) -> Handle:
    first = await _reconcile_in_two_pages(here)
    return here.services.client.get_workflow_handle(first.id, run_id=first.result_run_id)


async def reconciled_last_page(here: World) -> Handle:
    first = await _reconcile_in_two_pages(here)
    return here.services.client.get_workflow_handle(first.id)


async def reconciled_events(here: World) -> Handle:
    """One was never delivered."""
    organization_id, subscription_id = await here.organization()
    await here.at_rest(organization_id)
    await here.act(f"subscriptions/{subscription_id}/suspend")
    started: Handle = await here.services.client.start_workflow(
        RECONCILE_EVENTS,
        Settled(seconds=-1),
        id=f"reconcile-events/{organization_id}",
        task_queue=here.services.settings.lifecycle_task_queue,
    )
    await started.result()
    await here.applied(organization_id, "suspended")
    return started


async def switched_to_stripe(here: World) -> Handle:
    one = await customers.customer(here)
    await customers.start_switch(here, one)
    await customers.reached(here, one, SwitchStatus.OFFERED)
    await customers.consent(here, one)
    await customers.reached(here, one, SwitchStatus.COMPLETED)
    return await _switch(here, one.organization_id)


async def switch_waited_for_a_renewal_and_canceled(here: World) -> Handle:
    """The renewal is near; after it the customer leaves in the middle of the checkout."""
    one = await customers.customer(here, renews_in=timedelta(hours=1))
    await customers.start_switch(here, one)
    await customers.reached(here, one, SwitchStatus.WAITING)
    await here.pay(one.subscription_id)
    await here.services.notifier.notify_switch(one.organization_id)
    await customers.reached(here, one, SwitchStatus.OFFERED)
    await customers.cancel(here, one)
    await customers.reached(here, one, SwitchStatus.CANCELED)
    return await _switch(here, one.organization_id)


async def reconciled_with_prices(here: World) -> Handle:
    """Since prices are recorded; those above are from before, and stay so."""
    return await reconciled_first_page(here)


SCENARIOS: tuple[Callable[[World], Awaitable[Handle]], ...] = (
    suspended_and_reactivated,
    superseded_in_its_first_step,
    stuck_and_freed,
    grace_ended_by_the_timer,
    grace_paid_in_time,
    continued_as_new,
    campaign_finished,
    campaign_parked_and_resumed,
    campaign_rung_in_a_pause,
    campaign_with_unknown,
    reconciled_first_page,
    reconciled_last_page,
    reconciled_events,
    switched_to_stripe,
    switch_waited_for_a_renewal_and_canceled,
    reconciled_with_prices,
)


async def _reconcile_in_two_pages(here: World) -> Handle:
    found = [(await here.organization())[0] for _ in range(3)]
    for organization_id in found:
        await here.applied(organization_id, "active")
    started: Handle = await here.services.client.start_workflow(
        RECONCILE,
        Page(limit=2),
        id=f"reconcile/{found[0]}",
        task_queue=here.services.settings.lifecycle_task_queue,
    )
    await started.result()
    return started


async def _deliver(here: World, subscription_id: str, what: str) -> None:
    for event_id in await here.happen(f"subscriptions/{subscription_id}/{what}"):
        assert await here.deliver(event_id) == 200


async def _lifecycle(here: World, organization_id: str) -> Handle:
    await here.at_rest(organization_id)
    return here.services.client.get_workflow_handle(organization_workflow_id(organization_id))


async def _switch(here: World, organization_id: str) -> Handle:
    handle = here.services.client.get_workflow_handle(switch_workflow_id(organization_id))
    await handle.result()
    return handle


async def _sending(
    here: World, *, recipients: int, balance: str = "10.00", start: bool = True
) -> tuple[str, UUID]:
    organization_id, _ = await here.organization(balance=balance)
    await here.applied(organization_id, "active")
    return organization_id, await here.campaign(organization_id, recipients=recipients, start=start)


async def _campaign_is(here: World, organization_id: str, campaign_id: UUID, status: str) -> None:
    async def reached() -> bool:
        return (await here.campaign_now(organization_id, campaign_id)).status == status

    await until(reached, f"a campaign {status}")


async def _run_of(here: World, organization_id: str, campaign_id: UUID) -> Handle:
    return here.services.client.get_workflow_handle(
        campaign_workflow_id(organization_id, campaign_id)
    )
