"""A step that cannot be taken for good is told to a person, and taken when that is mended."""

from activities.workflow_contracts import switch_workflow_id
from domain.billing.subscription import Provider
from domain.switching.switch import SwitchStatus
from tests.workflow import customers
from tests.workflow.customers import Customer, reached
from tests.workflow.stops import Boundaries, details
from tests.world import World, until


async def stuck(world: World, one: Customer) -> str:
    async def told() -> str | None:
        return (await world.alerts(one.organization_id)).get("switch_stuck")

    return str(await until(told, "a stuck switch"))


async def freed(world: World, one: Customer) -> None:
    async def gone() -> bool:
        return "switch_stuck" not in await world.alerts(one.organization_id)

    await world.services.notifier.notify_switch(one.organization_id)
    await until(gone, "no stuck switch")


async def test_a_provider_that_refuses_us_is_told_to_a_person_and_it_goes_on_when_that_is_mended(
    world: World, boundaries: Boundaries
) -> None:
    one = await customers.offered(world, Provider.STRIPE)
    key = world.stripe.api_key
    async with customers.consented_before(world, boundaries, one, "stop_source"):
        world.stripe.api_key = "sk_test_another"

    await stuck(world, one)

    async def told() -> bool:
        return "STUCK" in await details(world, switch_workflow_id(one.organization_id))

    await until(told, "the workflow's details")
    world.stripe.api_key = key
    await world.services.notifier.notify_switch(one.organization_id)

    await reached(world, one, SwitchStatus.COMPLETED)
    assert await world.alerts(one.organization_id) == {}


async def test_a_refusal_that_is_mended_while_the_customer_takes_time_is_no_alert_any_more(
    world: World,
) -> None:
    one = await customers.offered(world, Provider.STRIPE)
    key, world.stripe.api_key = world.stripe.api_key, "sk_test_another"
    try:
        await world.services.notifier.notify_switch(one.organization_id)
        await stuck(world, one)
    finally:
        world.stripe.api_key = key

    await freed(world, one)

    assert (await customers.now(world, one)).state is SwitchStatus.OFFERED


async def test_a_new_subscription_that_its_provider_does_not_know_is_told_and_nothing_is_stopped(
    world: World, boundaries: Boundaries
) -> None:
    one = await customers.offered(world, Provider.STRIPE)
    new = (await customers.now(world, one)).target_subscription_id or ""
    async with boundaries.held("stop_source", one.organization_id) as stop:
        await customers.consent(world, one, deliver=False)
        await world.services.notifier.notify_switch(one.organization_id)
        await stop.reached.wait()
        known = world.paypal.state.subscriptions.pop(new)

    assert await stuck(world, one) == (
        "consented: a provider reports the unknown status 'not found' for a subscription"
    )
    assert world.stripe.state.get(one.subscription_id, "subscription")["status"] == "active"
    world.paypal.state.subscriptions[new] = known
    await freed(world, one)

    await reached(world, one, SwitchStatus.COMPLETED)


async def test_a_provider_that_is_not_set_up_any_more_is_told(idle_world: World) -> None:
    world = idle_world
    one = await customers.customer(world)
    await customers.start_switch(world, one)
    paypal = world.services.providers.pop(Provider.PAYPAL)
    world.start_worker()

    assert "paypal is not set up here" in await stuck(world, one)
    world.services.providers[Provider.PAYPAL] = paypal
    await freed(world, one)

    await reached(world, one, SwitchStatus.OFFERED)


async def test_who_pays_where_nothing_is_set_up_is_not_moved(idle_world: World) -> None:
    world = idle_world
    one = await customers.customer(world)
    del world.services.providers[Provider.PAYPAL]
    asked = {"provider": "stripe", "plan_id": "price_standard"}
    asked |= {"return_url": "https://host.test/moved", "cancel_url": "https://host.test/not"}

    answer = await world.api.post(f"/v1/organizations/{one.organization_id}/switch", json=asked)

    assert answer.status_code == 409
    assert answer.json()["detail"] == "it pays at paypal, which is not set up here"
