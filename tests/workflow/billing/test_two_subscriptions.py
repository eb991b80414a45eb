"""One organization with a subscription at each provider: one of them decides, and two that bill
raise an alert.
"""

from domain.billing.subscription import Provider, State
from domain.lifecycle.standing import Status
from tests.workflow.actors import AtPayPal, AtStripe, current, onboard
from tests.world import World, until


async def test_events_of_the_other_change_nothing_and_two_that_bill_are_an_alert(
    world: World,
) -> None:
    paypal, stripe = AtPayPal(world, world.paypal_control), AtStripe(world, world.stripe_control)
    organization_id = await onboard(world)
    first = await paypal.subscribe(organization_id)

    second, event_ids = await stripe.beside(organization_id)
    await stripe.deliver(event_ids)
    alerts = await world.at_rest(organization_id), await world.alerts(organization_id)
    story = (await world.api.get(f"/v1/organizations/{organization_id}/explain")).json()["story"]
    await stripe.fail(second)
    await stripe.give_up(second)
    standing = await world.at_rest(organization_id)
    now = await current(world, organization_id)

    assert "two_subscriptions_bill" in alerts[1]
    assert any("two_subscriptions_bill" in line for line in story)
    assert now is not None
    assert (now.provider, now.id, now.snapshot.state) == (Provider.PAYPAL, first.id, State.ACTIVE)
    assert (standing.status, standing.deadline) == (Status.ACTIVE, None)
    assert "two_subscriptions_bill" not in await world.alerts(organization_id)
    await world.certify()


async def test_a_subscription_elsewhere_beside_an_open_debt_is_an_alert_while_the_old_provider_retries_the_charge(
    world: World,
) -> None:
    paypal, stripe = AtPayPal(world, world.paypal_control), AtStripe(world, world.stripe_control)
    organization_id = await onboard(world)
    old = await paypal.subscribe(organization_id)
    await paypal.fail(old.id)
    await world.look_again(organization_id)

    new, event_ids = await stripe.beside(organization_id)
    await stripe.deliver(event_ids)
    await world.at_rest(organization_id)
    await world.look_again(organization_id)

    now = await current(world, organization_id)
    assert now is not None
    assert now.id == new
    assert "two_subscriptions_bill" in await world.alerts(organization_id)
    await paypal.happen(f"subscriptions/{old.id}/cancel")
    await world.at_rest(organization_id)
    assert await world.alerts(organization_id) == {}


async def test_events_of_the_old_provider_after_the_cut_over_suspend_nobody(world: World) -> None:
    paypal, stripe = AtPayPal(world, world.paypal_control), AtStripe(world, world.stripe_control)
    organization_id = await onboard(world)
    old = await paypal.subscribe(organization_id)
    new, event_ids = await stripe.beside(organization_id)
    await stripe.deliver(event_ids)
    await world.at_rest(organization_id)

    await paypal.happen(f"subscriptions/{old.id}/cancel")

    async def taken_over() -> bool:
        now = await current(world, organization_id)
        return now is not None and now.id == new

    await until(taken_over, "the new subscription is the current one")
    await paypal.happen(f"subscriptions/{old.id}/expire")
    standing = await world.at_rest(organization_id)

    assert (standing.status, standing.deadline) == (Status.ACTIVE, None)
    assert {"two_subscriptions_bill", "nobody_bills"}.isdisjoint(
        await world.alerts(organization_id)
    )
    await world.certify()
