"""A step that is refused permanently raises an alert, and runs once the cause is fixed."""

from activities.workflow_contracts import switch_workflow_id
from domain.billing.subscription import Provider
from domain.switching.switch import SwitchStatus
from tests.workflow.stops import Boundaries, details
from tests.workflow.switching import customers
from tests.workflow.switching.customers import Customer, reached
from tests.world import World, until


async def stuck(world: World, customer: Customer) -> str:
    async def alert_text() -> str | None:
        return (await world.alerts(customer.organization_id)).get("switch_stuck")

    return str(await until(alert_text, "a stuck switch"))


async def freed(world: World, customer: Customer) -> None:
    async def gone() -> bool:
        return "switch_stuck" not in await world.alerts(customer.organization_id)

    await world.services.notifier.notify_switch(customer.organization_id)
    await until(gone, "no stuck switch")


async def test_a_provider_that_refuses_our_credentials_raises_an_alert_and_the_switch_resumes_once_that_is_fixed(
    world: World, boundaries: Boundaries
) -> None:
    customer = await customers.offered(world, Provider.STRIPE)
    key = world.stripe.api_key
    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        world.stripe.api_key = "sk_test_another"

    await stuck(world, customer)

    async def shows_stuck() -> bool:
        return "STUCK" in await details(world, switch_workflow_id(customer.organization_id))

    await until(shows_stuck, "the workflow's details")
    world.stripe.api_key = key
    await world.services.notifier.notify_switch(customer.organization_id)

    await reached(world, customer, SwitchStatus.COMPLETED)
    assert await world.alerts(customer.organization_id) == {}


async def test_a_refusal_fixed_before_the_customer_consents_clears_its_alert(
    world: World,
) -> None:
    customer = await customers.offered(world, Provider.STRIPE)
    key, world.stripe.api_key = world.stripe.api_key, "sk_test_another"
    try:
        await world.services.notifier.notify_switch(customer.organization_id)
        await stuck(world, customer)
    finally:
        world.stripe.api_key = key

    await freed(world, customer)

    assert (await customers.now(world, customer)).state is SwitchStatus.OFFERED


async def test_a_target_unknown_to_its_provider_raises_an_alert_and_nothing_is_stopped(
    world: World, boundaries: Boundaries
) -> None:
    customer = await customers.offered(world, Provider.STRIPE)
    new = (await customers.now(world, customer)).target_subscription_id or ""
    async with boundaries.holding("stop_source", customer.organization_id) as stop:
        await customers.consent(world, customer, deliver=False)
        await world.services.notifier.notify_switch(customer.organization_id)
        await stop.reached.wait()
        at_paypal = world.paypal.state.subscriptions.pop(new)

    assert await stuck(world, customer) == (
        "consented: a provider reports the unknown status 'not found' for a subscription"
    )
    assert world.stripe.state.get(customer.subscription_id, "subscription")["status"] == "active"
    world.paypal.state.subscriptions[new] = at_paypal
    await freed(world, customer)

    await reached(world, customer, SwitchStatus.COMPLETED)


async def test_a_provider_no_longer_set_up_raises_an_alert(idle_world: World) -> None:
    world = idle_world
    customer = await customers.customer(world)
    await customers.start_switch(world, customer)
    paypal = world.services.providers.pop(Provider.PAYPAL)
    world.start_worker()

    assert "paypal is not set up here" in await stuck(world, customer)
    world.services.providers[Provider.PAYPAL] = paypal
    await freed(world, customer)

    await reached(world, customer, SwitchStatus.OFFERED)


async def test_a_customer_of_a_provider_that_is_not_set_up_is_not_moved(idle_world: World) -> None:
    world = idle_world
    customer = await customers.customer(world)
    del world.services.providers[Provider.PAYPAL]
    body = {"provider": "stripe", "plan_id": "price_standard"}
    body |= {"return_url": "https://host.test/moved", "cancel_url": "https://host.test/not"}

    answer = await world.api.post(f"/v1/organizations/{customer.organization_id}/switch", json=body)

    assert answer.status_code == 409
    assert answer.json()["detail"] == "its provider paypal is not configured"
