"""Customers switch to the other provider: each period is charged exactly once, and the service
continues.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from activities.workflow_contracts import switch_workflow_id
from domain.billing.subscription import Provider, State
from domain.switching.switch import SwitchStatus
from tests.workflow.stops import Boundaries, details
from tests.workflow.switching import customers
from tests.workflow.switching.customers import charges, each_period_once, reached
from tests.world import World, until

BOTH = pytest.mark.parametrize(
    "source", [Provider.PAYPAL, Provider.STRIPE], ids=["to_stripe", "to_paypal"]
)


@BOTH
async def test_a_customer_is_moved_and_each_period_is_charged_for_once(
    world: World, source: Provider
) -> None:
    customer = await customers.customer(world, source)
    assert (await customers.start_switch(world, customer))["status"] == "started"
    offered = await reached(world, customer, SwitchStatus.OFFERED)
    assert offered.first_charge_at == customer.paid_at + customers.PERIOD

    await customers.consent(world, customer)
    await reached(world, customer, SwitchStatus.COMPLETED)

    current = await customers.current(world, customer)
    assert (current.provider, current.snapshot.state in (State.TRIALING, State.ACTIVE)) == (
        customer.target,
        True,
    )
    await customers.never_suspended(world, customer)
    assert await world.alerts(customer.organization_id) == {}
    story = (await world.api.get(f"/v1/organizations/{customer.organization_id}/explain")).json()[
        "story"
    ]
    assert any(f"switch to {customer.target.value} is completed" in sentence for sentence in story)
    assert charges(world, customer) == each_period_once(customer)
    await world.certify()


@BOTH
async def test_a_customer_who_is_moved_there_and_back_before_a_renewal_is_charged_once(
    world: World, source: Provider
) -> None:
    customer = await customers.offered(world, source)
    await customers.consent(world, customer)
    await reached(world, customer, SwitchStatus.COMPLETED)
    await world.at_rest(customer.organization_id)
    back = replace(
        customer,
        source=customer.target,
        subscription_id=(await customers.current(world, customer)).id,
    )

    await customers.start_switch(world, back)
    await reached(world, back, SwitchStatus.OFFERED)
    await customers.consent(world, back)
    await reached(world, back, SwitchStatus.COMPLETED)

    assert (await world.look_again(customer.organization_id)).deadline is None
    assert (await customers.current(world, customer)).provider is source
    await customers.never_suspended(world, customer)
    assert await world.alerts(customer.organization_id) == {}
    assert charges(world, customer) == each_period_once(customer)


@BOTH
async def test_two_subscriptions_during_a_switch_raise_no_alert_and_the_source_stays_current(
    world: World, boundaries: Boundaries, source: Provider
) -> None:
    customer = await customers.offered(world, source)

    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        await world.look_again(customer.organization_id)
        await customers.goes_on_as_before(world, customer)

    await reached(world, customer, SwitchStatus.COMPLETED)
    await customers.never_suspended(world, customer)


async def test_a_new_subscription_that_is_free_yet_hides_no_debt_of_the_old_one(
    world: World, boundaries: Boundaries
) -> None:
    customer = await customers.offered(world)

    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        await world.act(f"subscriptions/{customer.subscription_id}/fail_payment")
        standing = await world.look_again(customer.organization_id)
        current = await customers.current(world, customer)

    assert (current.id, current.snapshot.state) == (customer.subscription_id, State.PAST_DUE)
    assert standing.deadline is not None
    assert (
        await reached(world, customer, SwitchStatus.UNDONE)
    ).reason == "the old subscription is past_due"
    await world.certify()


@BOTH
async def test_a_renewal_within_two_days_is_waited_for(world: World, source: Provider) -> None:
    customer = await customers.customer(world, source, renews_in=timedelta(hours=47))
    await customers.start_switch(world, customer)
    found = await reached(world, customer, SwitchStatus.WAITING)
    assert found.first_charge_at == customer.paid_at + customers.PERIOD
    assert "less than two days" in await details(
        world, switch_workflow_id(customer.organization_id)
    )

    renewed = charges(world, customer, periods=1)
    await world.services.notifier.notify_switch(customer.organization_id)

    found = await reached(world, customer, SwitchStatus.OFFERED)
    assert found.first_charge_at == customer.paid_at + 2 * customers.PERIOD
    assert renewed == each_period_once(customer, 1)
    await customers.consent(world, customer)
    await reached(world, customer, SwitchStatus.COMPLETED)
    assert charges(world, customer, periods=3) == each_period_once(customer, 3)


async def test_the_timer_of_a_near_renewal_ends_by_itself(world: World) -> None:
    customer = await customers.customer(world, renews_in=timedelta(seconds=2))
    await customers.start_switch(world, customer)
    await reached(world, customer, SwitchStatus.WAITING)
    await customers.restart(world, customer, after_renewal_seconds=1)
    charges(world, customer, periods=1)

    await reached(world, customer, SwitchStatus.OFFERED)

    await customers.goes_on_as_before(world, customer)


async def test_a_renewal_that_is_charged_late_is_polled(world: World) -> None:
    customer = await customers.customer(world, renews_in=-timedelta(hours=2))
    await customers.start_switch(world, customer)
    await reached(world, customer, SwitchStatus.WAITING)
    handle = world.services.client.get_workflow_handle(switch_workflow_id(customer.organization_id))

    async def timers() -> list[timedelta]:
        events = (await handle.fetch_history()).events
        begun = [each.timer_started_event_attributes for each in events]
        return [each.start_to_fire_timeout.ToTimedelta() for each in begun if each.timer_id]

    assert (await until(timers, "its timer"))[0] == timedelta(hours=1)


async def test_a_daily_renewal_is_not_waited_for_forever(world: World) -> None:
    customer = await customers.customer(world, renews_in=timedelta(hours=2))
    await customers.start_switch(world, customer)
    found = await reached(world, customer, SwitchStatus.WAITING)
    assert found.first_charge_at is not None

    world.paypal.state.subscriptions[customer.subscription_id].next_billing = (
        found.first_charge_at + timedelta(days=1)
    )
    await world.services.notifier.notify_switch(customer.organization_id)

    assert (
        await reached(world, customer, SwitchStatus.REFUSED)
    ).reason == "it renews more often than every two days"
    await customers.goes_on_as_before(world, customer)


@BOTH
async def test_a_late_event_of_the_old_provider_suspends_nobody(
    world: World, source: Provider
) -> None:
    customer = await customers.customer(world, source)
    deliveries, events = world.simulator(source).deliveries, world.simulator(source).events
    lost = deliveries.faults.add(
        "lost", match=r"BILLING\.SUBSCRIPTION\.CANCELLED|customer\.subscription\.deleted"
    )
    try:
        await customers.start_switch(world, customer)
        await reached(world, customer, SwitchStatus.OFFERED)
        await customers.consent(world, customer)
        await reached(world, customer, SwitchStatus.COMPLETED)
    finally:
        deliveries.faults.standing.remove(lost)
    assert lost.hits == 1
    late = [each for each in events.all.values() if customer.subscription_id.encode() in each.raw][
        -1
    ]

    deliveries.deliver([late])

    async def handled() -> bool:
        return await customers.delivered(world, late.id)

    await until(handled, "the late event handled")
    await customers.never_suspended(world, customer)
    assert (await customers.current(world, customer)).provider is customer.target
    await world.certify()


async def test_a_first_charge_that_fails_before_a_late_cut_over_is_a_debt_at_the_new_provider(
    world: World, boundaries: Boundaries
) -> None:
    """No webhook arrives meanwhile: only the cut-over names the new subscription."""
    customer = await customers.customer(world, Provider.STRIPE)
    lost = world.stripe.deliveries.faults.add("lost")
    await customers.start_switch(world, customer)
    found = await reached(world, customer, SwitchStatus.OFFERED)
    async with boundaries.holding("cut_over", customer.organization_id) as stop:
        await customers.consent(world, customer, deliver=False)
        await world.services.notifier.notify_switch(customer.organization_id)
        await stop.reached.wait()
        await world.act(f"subscriptions/{found.target_subscription_id}/fail_payment")
    await reached(world, customer, SwitchStatus.COMPLETED)
    world.stripe.deliveries.faults.standing.remove(lost)

    current = await customers.current(world, customer)
    assert (current.provider, current.snapshot.state) == (customer.target, State.PAST_DUE)
    assert (await world.standing(customer.organization_id)).deadline is not None
    await customers.never_suspended(world, customer)


@BOTH
async def test_a_new_subscription_that_the_application_links_by_itself_is_moved_to(
    world: World, boundaries: Boundaries, source: Provider
) -> None:
    """As when the customer returns from the checkout; the switch is still running."""
    customer = await customers.offered(world, source)
    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        linked = {
            "provider": customer.target.value,
            "subscription_id": customers.new_subscription_id(world, customer),
        }
        await world.post(f"/v1/organizations/{customer.organization_id}/subscription", linked)
        await world.look_again(customer.organization_id)
        assert "two_subscriptions_bill" not in await world.alerts(customer.organization_id)

    await reached(world, customer, SwitchStatus.COMPLETED)

    assert (await customers.current(world, customer)).id == linked["subscription_id"]
    await customers.never_suspended(world, customer)
    assert await world.alerts(customer.organization_id) == {}
    assert charges(world, customer) == each_period_once(customer)
    await world.certify()
