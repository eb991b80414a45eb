"""Customers are moved to the other provider: each period is charged for once, by somebody, and the service is on."""

import pytest

from domain.migration import Progress
from domain.subscription import Provider, State
from tests.workflow import customers
from tests.workflow.customers import Customer, charges, each_period_once, reached
from tests.world import World

BOTH = pytest.mark.parametrize("source", [Provider.PAYPAL, Provider.STRIPE], ids=["to_stripe", "to_paypal"])


async def never_suspended(world: World, one: Customer) -> None:
    """Not once: the epoch counts every change of mind."""
    standing = await world.at_rest(one.organization_id)
    assert (standing.status, standing.epoch) == ("active", 0)
    assert (await world.debit(one.organization_id)).status_code in (200, 201)


async def goes_on_as_before(world: World, one: Customer) -> None:
    current = await customers.current(world, one)
    assert (current.provider, current.id) == (one.source, one.subscription_id)
    await never_suspended(world, one)
    assert "two_subscriptions_bill" not in await world.alerts(one.organization_id)


@BOTH
async def test_a_customer_is_moved_and_each_period_is_charged_for_once(world: World, source: Provider) -> None:
    one = await customers.customer(world, source)
    assert (await customers.migrate(world, one))["state"] == "started"
    offered = await reached(world, one, Progress.OFFERED)
    assert offered.first_charge_at == one.paid_at + customers.PERIOD

    await customers.consent(world, one)
    await reached(world, one, Progress.COMPLETED)

    current = await customers.current(world, one)
    assert (current.provider, current.snapshot.state in (State.TRIALING, State.ACTIVE)) == (one.target, True)
    await never_suspended(world, one)
    assert await world.alerts(one.organization_id) == {}
    assert charges(world, one) == each_period_once(one)
    await world.certify()
