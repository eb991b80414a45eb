"""PayPal's link cannot be closed: a customer who uses it after the switch's end has two
subscriptions for a moment.
"""

import pytest

from db.switching import switches
from domain.billing.subscription import Provider
from domain.switching.switch import SwitchStatus
from tests.workflow.stops import Boundaries
from tests.workflow.switching import customers
from tests.workflow.switching.customers import Customer, charges, each_period_once, reached
from tests.world import World, until


async def abandoned(world: World) -> tuple[Customer, str]:
    """A customer at Stripe who abandoned a switch, and its link."""
    customer = await customers.offered(world, Provider.STRIPE)
    await customers.time_is_over(world, customer)
    return customer, (
        await reached(world, customer, SwitchStatus.ABANDONED)
    ).target_subscription_id or ""


async def use(world: World, link: str) -> None:
    answer = await world.paypal_control.post(f"/_sim/subscriptions/{link}/approve", json={})
    assert answer.is_success, answer.text


async def expect_late_consent_alert(world: World, customer: Customer) -> None:
    async def late() -> bool:
        return "late_consent" in await world.alerts(customer.organization_id)

    await until(late, "an alert about the late consent")


async def test_a_consent_after_the_end_is_canceled_and_raises_an_alert(world: World) -> None:
    customer, link = await abandoned(world)

    await use(world, link)

    await expect_late_consent_alert(world, customer)
    assert world.paypal.state.subscriptions[link].status == "CANCELLED"
    found = await reached(world, customer, SwitchStatus.ABANDONED)
    assert (
        found.reason
        == "the customer did not complete the checkout in time; the customer consented to the new "
        "subscription too late"
    )
    assert (await customers.current(world, customer)).id == customer.subscription_id
    assert await world.alerts(customer.organization_id) == {
        "late_consent": f"switch {found.id}: {found.reason}"
    }
    assert charges(world, customer) == each_period_once(customer)


@pytest.mark.parametrize(
    "newer", [SwitchStatus.OFFERED, SwitchStatus.ABANDONED, SwitchStatus.COMPLETED]
)
async def test_a_consent_by_the_link_of_an_older_switch_is_canceled_and_the_newer_one_goes_on(
    world: World, newer: SwitchStatus
) -> None:
    """As from an old email."""
    customer, link = await abandoned(world)
    await customers.start_switch(world, customer)
    await reached(world, customer, SwitchStatus.OFFERED)
    if newer is SwitchStatus.COMPLETED:
        await customers.consent(world, customer)
    elif newer is SwitchStatus.ABANDONED:
        await customers.time_is_over(world, customer)
    second = await reached(world, customer, newer)

    await use(world, link)

    await expect_late_consent_alert(world, customer)
    assert world.paypal.state.subscriptions[link].status == "CANCELLED"
    assert await customers.now(world, customer) == second
    if newer is SwitchStatus.OFFERED:
        await customers.consent(world, customer)
        await reached(world, customer, SwitchStatus.COMPLETED)
    standing = await world.at_rest(customer.organization_id)
    assert (standing.status, standing.epoch) == ("active", 0)
    assert charges(world, customer) == each_period_once(customer)


async def test_the_reconciliation_keeps_the_workflow_while_a_late_subscription_cannot_be_canceled(
    world: World,
) -> None:
    customer, link = await abandoned(world)
    down = world.paypal.faults.add(
        "503", method="POST", path=f"/v1/billing/subscriptions/{link}/cancel"
    )
    await use(world, link)

    async def cancel_requested() -> bool:
        return down.hits > 0

    await until(cancel_requested, "the late one being canceled")
    assert customer.organization_id in await world.read(
        lambda conn: switches.open_ones(conn, limit=1000)
    )
    world.paypal.faults.standing.remove(down)

    await expect_late_consent_alert(world, customer)
    assert customer.organization_id not in await world.read(
        lambda conn: switches.open_ones(conn, limit=1000)
    )


async def test_a_late_subscription_unknown_to_its_provider_is_not_taken_for_ended(
    world: World, boundaries: Boundaries
) -> None:
    customer, link = await abandoned(world)
    async with boundaries.holding("undo_migration", customer.organization_id) as stop:
        await use(world, link)
        await stop.reached.wait()
        late = world.paypal.state.subscriptions.pop(link)

    async def stuck() -> bool:
        return "switch_stuck" in await world.alerts(customer.organization_id)

    await until(stuck, "a stuck switch")
    world.paypal.state.subscriptions[link] = late
    await world.services.notifier.notify_switch(customer.organization_id)

    await expect_late_consent_alert(world, customer)
    assert late.status == "CANCELLED"
    assert not await stuck()


async def test_a_customer_who_returns_by_an_old_link_is_treated_like_any_other(
    world: World,
) -> None:
    customer, link = await abandoned(world)
    await customers.cancel(world, customer)
    await world.at_rest(customer.organization_id)

    await use(world, link)

    async def taken_over() -> bool:
        return (await customers.current(world, customer)).id == link

    await until(taken_over, "the new one is the current one")
    await world.happen(f"subscriptions/{link}/pay")
    events = [event.id for event in world.paypal.events.all.values() if link.encode() in event.raw]
    customers.deliver(world, Provider.PAYPAL, events)
    await world.look_again(customer.organization_id)
    assert world.paypal.state.subscriptions[link].status == "ACTIVE"
    assert await world.alerts(customer.organization_id) == {}
