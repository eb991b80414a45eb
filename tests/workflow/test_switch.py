"""Customers are moved to the other provider: each period is charged for once, by somebody, and the
service is on.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from activities.workflow_contracts import switch_workflow_id
from domain.billing.subscription import Provider, State
from domain.switching.switch import SwitchStatus
from tests.workflow import customers
from tests.workflow.customers import charges, each_period_once, reached
from tests.workflow.stops import Boundaries, details
from tests.world import World, until

BOTH = pytest.mark.parametrize(
    "source", [Provider.PAYPAL, Provider.STRIPE], ids=["to_stripe", "to_paypal"]
)


@BOTH
async def test_a_customer_is_moved_and_each_period_is_charged_for_once(
    world: World, source: Provider
) -> None:
    one = await customers.customer(world, source)
    assert (await customers.start_switch(world, one))["status"] == "started"
    offered = await reached(world, one, SwitchStatus.OFFERED)
    assert offered.first_charge_at == one.paid_at + customers.PERIOD

    await customers.consent(world, one)
    await reached(world, one, SwitchStatus.COMPLETED)

    current = await customers.current(world, one)
    assert (current.provider, current.snapshot.state in (State.TRIALING, State.ACTIVE)) == (
        one.target,
        True,
    )
    await customers.never_suspended(world, one)
    assert await world.alerts(one.organization_id) == {}
    story = (await world.api.get(f"/v1/organizations/{one.organization_id}/explain")).json()[
        "story"
    ]
    assert any(f"switch to {one.target.value} is completed" in sentence for sentence in story)
    assert charges(world, one) == each_period_once(one)
    await world.certify()


@BOTH
async def test_a_customer_who_is_moved_there_and_back_before_a_renewal_is_charged_once(
    world: World, source: Provider
) -> None:
    one = await customers.offered(world, source)
    await customers.consent(world, one)
    await reached(world, one, SwitchStatus.COMPLETED)
    await world.at_rest(one.organization_id)
    back = replace(one, source=one.target, subscription_id=(await customers.current(world, one)).id)

    await customers.start_switch(world, back)
    await reached(world, back, SwitchStatus.OFFERED)
    await customers.consent(world, back)
    await reached(world, back, SwitchStatus.COMPLETED)

    assert (await world.look_again(one.organization_id)).deadline is None
    assert (await customers.current(world, one)).provider is source
    await customers.never_suspended(world, one)
    assert await world.alerts(one.organization_id) == {}
    assert charges(world, one) == each_period_once(one)


@BOTH
async def test_while_both_exist_nobody_is_alarmed_and_the_old_one_stays_the_current_one(
    world: World, boundaries: Boundaries, source: Provider
) -> None:
    one = await customers.offered(world, source)

    async with customers.consented_before(world, boundaries, one, "stop_source"):
        await world.look_again(one.organization_id)
        await customers.goes_on_as_before(world, one)

    await reached(world, one, SwitchStatus.COMPLETED)
    await customers.never_suspended(world, one)


async def test_a_new_subscription_that_is_free_yet_hides_no_debt_of_the_old_one(
    world: World, boundaries: Boundaries
) -> None:
    one = await customers.offered(world)

    async with customers.consented_before(world, boundaries, one, "stop_source"):
        await world.act(f"subscriptions/{one.subscription_id}/fail_payment")
        standing = await world.look_again(one.organization_id)
        current = await customers.current(world, one)

    assert (current.id, current.snapshot.state) == (one.subscription_id, State.PAST_DUE)
    assert standing.deadline is not None
    assert (
        await reached(world, one, SwitchStatus.UNDONE)
    ).reason == "the old subscription is past_due"
    await world.certify()


@BOTH
async def test_a_renewal_within_two_days_is_waited_for(world: World, source: Provider) -> None:
    one = await customers.customer(world, source, renews_in=timedelta(hours=47))
    await customers.start_switch(world, one)
    found = await reached(world, one, SwitchStatus.WAITING)
    assert found.first_charge_at == one.paid_at + customers.PERIOD
    assert "less than two days" in await details(world, switch_workflow_id(one.organization_id))

    renewed = charges(world, one, periods=1)
    await world.services.notifier.notify_switch(one.organization_id)

    found = await reached(world, one, SwitchStatus.OFFERED)
    assert found.first_charge_at == one.paid_at + 2 * customers.PERIOD
    assert renewed == each_period_once(one, 1)
    await customers.consent(world, one)
    await reached(world, one, SwitchStatus.COMPLETED)
    assert charges(world, one, periods=3) == each_period_once(one, 3)


async def test_the_timer_of_a_near_renewal_ends_by_itself(world: World) -> None:
    one = await customers.customer(world, renews_in=timedelta(seconds=2))
    await customers.start_switch(world, one)
    await reached(world, one, SwitchStatus.WAITING)
    await customers.restart(world, one, after_renewal_seconds=1)
    charges(world, one, periods=1)

    await reached(world, one, SwitchStatus.OFFERED)

    await customers.goes_on_as_before(world, one)


async def test_a_renewal_that_is_charged_late_is_asked_for_now_and_then(world: World) -> None:
    one = await customers.customer(world, renews_in=-timedelta(hours=2))
    await customers.start_switch(world, one)
    await reached(world, one, SwitchStatus.WAITING)
    handle = world.services.client.get_workflow_handle(switch_workflow_id(one.organization_id))

    async def timers() -> list[timedelta]:
        events = (await handle.fetch_history()).events
        begun = [each.timer_started_event_attributes for each in events]
        return [each.start_to_fire_timeout.ToTimedelta() for each in begun if each.timer_id]

    assert (await until(timers, "its timer"))[0] == timedelta(hours=1)


async def test_what_is_renewed_every_day_is_not_waited_for_for_ever(world: World) -> None:
    one = await customers.customer(world, renews_in=timedelta(hours=2))
    await customers.start_switch(world, one)
    found = await reached(world, one, SwitchStatus.WAITING)
    assert found.first_charge_at is not None

    world.paypal.state.subscriptions[one.subscription_id].next_billing = (
        found.first_charge_at + timedelta(days=1)
    )
    await world.services.notifier.notify_switch(one.organization_id)

    assert (
        await reached(world, one, SwitchStatus.REFUSED)
    ).reason == "it renews more often than every two days"
    await customers.goes_on_as_before(world, one)


@BOTH
async def test_a_late_word_of_the_old_provider_suspends_nobody(
    world: World, source: Provider
) -> None:
    one = await customers.customer(world, source)
    deliveries, events = world.simulator(source).deliveries, world.simulator(source).events
    lost = deliveries.faults.add(
        "lost", match=r"BILLING\.SUBSCRIPTION\.CANCELLED|customer\.subscription\.deleted"
    )
    try:
        await customers.start_switch(world, one)
        await reached(world, one, SwitchStatus.OFFERED)
        await customers.consent(world, one)
        await reached(world, one, SwitchStatus.COMPLETED)
    finally:
        deliveries.faults.standing.remove(lost)
    assert lost.hits == 1
    late = [each for each in events.all.values() if one.subscription_id.encode() in each.raw][-1]

    deliveries.deliver([late])

    async def heard() -> bool:
        return await customers.delivered(world, late.id)

    await until(heard, "the late word heard")
    await customers.never_suspended(world, one)
    assert (await customers.current(world, one)).provider is one.target
    await world.certify()


async def test_a_first_charge_that_fails_before_a_late_cut_over_is_a_debt_at_the_new_provider(
    world: World, boundaries: Boundaries
) -> None:
    """Nobody hears of anything meanwhile: the cut-over alone names the new one."""
    one = await customers.customer(world, Provider.STRIPE)
    lost = world.stripe.deliveries.faults.add("lost")
    await customers.start_switch(world, one)
    found = await reached(world, one, SwitchStatus.OFFERED)
    async with boundaries.held("cut_over", one.organization_id) as stop:
        await customers.consent(world, one, deliver=False)
        await world.services.notifier.notify_switch(one.organization_id)
        await stop.reached.wait()
        await world.act(f"subscriptions/{found.target_subscription_id}/fail_payment")
    await reached(world, one, SwitchStatus.COMPLETED)
    world.stripe.deliveries.faults.standing.remove(lost)

    current = await customers.current(world, one)
    assert (current.provider, current.snapshot.state) == (one.target, State.PAST_DUE)
    assert (await world.standing(one.organization_id)).deadline is not None
    await customers.never_suspended(world, one)


@BOTH
async def test_a_new_subscription_that_the_application_links_by_itself_is_moved_to(
    world: World, boundaries: Boundaries, source: Provider
) -> None:
    """As when the customer comes back from the checkout; the switch is in the middle of it."""
    one = await customers.offered(world, source)
    async with customers.consented_before(world, boundaries, one, "stop_source"):
        linked = {"provider": one.target.value, "subscription_id": customers.new_one(world, one)}
        await world.post(f"/v1/organizations/{one.organization_id}/subscription", linked)
        await world.look_again(one.organization_id)
        assert "two_subscriptions_bill" not in await world.alerts(one.organization_id)

    await reached(world, one, SwitchStatus.COMPLETED)

    assert (await customers.current(world, one)).id == linked["subscription_id"]
    await customers.never_suspended(world, one)
    assert await world.alerts(one.organization_id) == {}
    assert charges(world, one) == each_period_once(one)
    await world.certify()
