"""A subscription that a switch replaced, or did not adopt, may still charge: then an alert is
raised, once per payment.
"""

from datetime import timedelta

import pytest
from sqlalchemy import text

from db import alerts
from db.alerts import Alert
from domain.billing.subscription import Provider
from domain.switching.switch import SwitchStatus
from tests.workflow.stops import Boundaries
from tests.workflow.switching import customers
from tests.workflow.switching.customers import Customer, reached
from tests.world import World, until

BOTH = pytest.mark.parametrize(
    "source", [Provider.PAYPAL, Provider.STRIPE], ids=["to_stripe", "to_paypal"]
)
PAID = {Provider.PAYPAL: "PAYMENT.SALE.COMPLETED", Provider.STRIPE: "invoice.paid"}


async def moved(world: World, source: Provider) -> Customer:
    customer = await customers.offered(world, source)
    await customers.consent(world, customer)
    await reached(world, customer, SwitchStatus.COMPLETED)
    await customers.another_second()
    return customer


async def booked(world: World, provider: Provider, event_ids: list[str]) -> None:
    customers.deliver(world, provider, event_ids)

    async def all_of_them() -> bool:
        return all([await customers.delivered(world, event_id) for event_id in event_ids])

    await until(all_of_them, "the payment booked")


async def double_charge_alerts(world: World, customer: Customer) -> list[Alert]:
    found = await world.read(lambda conn: alerts.standing(conn, customer.organization_id))
    return [alert for alert in found if alert.kind == "charged_by_other"]


@BOTH
async def test_a_charge_by_the_source_after_the_cut_over_raises_one_alert_per_payment(
    world: World, source: Provider
) -> None:
    customer = await moved(world, source)
    first = await customers.charged_again(world, customer)
    await booked(world, source, first)
    [alert] = await double_charge_alerts(world, customer)
    assert (
        f"{source.value} charged 49.00 USD for subscription {customer.subscription_id}"
        in alert.detail
    )
    assert f"although the switch to {customer.target.value} is completed" in alert.detail

    # as when the worker dies before it reports the result
    async with world.services.engine.begin() as conn:
        again = (
            "UPDATE inbox SET status = 'unhandled', handled_at = NULL WHERE event_id = ANY (:ids)"
        )
        await conn.execute(text(again), {"ids": first})
    await world.ring(customer.organization_id)
    await booked(world, source, first)
    assert [alert.times for alert in await double_charge_alerts(world, customer)] == [1]

    await booked(world, source, await customers.charged_again(world, customer))
    assert [alert.times for alert in await double_charge_alerts(world, customer)] == [2]
    story = (await world.api.get(f"/v1/organizations/{customer.organization_id}/explain")).json()[
        "story"
    ]
    assert any("charged_by_other" in sentence for sentence in story)
    assert (await customers.current(world, customer)).provider is customer.target


@BOTH
async def test_a_payment_of_before_the_cut_over_that_is_booked_late_is_an_ordinary_one(
    world: World, source: Provider
) -> None:
    customer = await moved(world, source)
    events = world.simulator(source).events
    named = customer.organization_id.encode()
    [paid] = [
        event.id
        for event in events.all.values()
        if event.type == PAID[source] and named in event.raw
    ]

    await booked(world, source, [paid])

    assert await world.alerts(customer.organization_id) == {}


async def test_a_charge_by_the_target_is_ordinary_even_if_another_subscription_was_linked_since(
    world: World,
) -> None:
    customer = await moved(world, Provider.STRIPE)
    new = await customers.current(world, customer)
    another = await world.act("subscriptions", {"custom_id": customer.organization_id})
    linked = {"provider": "paypal", "subscription_id": another["object"]["id"]}
    await world.post(f"/v1/organizations/{customer.organization_id}/subscription", linked)

    await booked(world, Provider.PAYPAL, await world.happen(f"subscriptions/{new.id}/pay"))

    assert await double_charge_alerts(world, customer) == []


@BOTH
async def test_a_charge_by_an_undone_target_subscription_raises_an_alert(
    world: World, boundaries: Boundaries, source: Provider
) -> None:
    """Everything was down from the consent until after the renewal: both have charged for the same
    period.
    """
    customer = await customers.offered(world, source)
    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        renewed = customer.paid_at + customers.PERIOD + timedelta(hours=1)
        at_paypal = world.paypal.renewals.bill_until(renewed, customer.organization_id)
        at_stripe = world.stripe.renewals.bill_until(
            int(renewed.timestamp()), customer.organization_id
        )
        by_target = at_paypal if customer.target is Provider.PAYPAL else at_stripe
        await booked(
            world,
            customer.target,
            [event.id for event in by_target if event.type == PAID[customer.target]],
        )

    await reached(world, customer, SwitchStatus.UNDONE)

    [alert] = await double_charge_alerts(world, customer)
    assert f"{customer.target.value} charged 49.00 USD" in alert.detail
    assert "two_subscriptions_bill" not in await world.alerts(customer.organization_id)
    assert (await customers.current(world, customer)).id == customer.subscription_id
