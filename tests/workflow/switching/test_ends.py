"""Switches that do not complete: abandoned, canceled, refused, undone, failed. Usually the old
subscription continues.
"""

import pytest
from sqlalchemy import text

from db.lifecycle import standings
from db.switching import switches
from domain.billing.subscription import Provider
from domain.switching.switch import SwitchStatus
from simulators.faults import Fault
from tests.workflow.stops import Boundaries
from tests.workflow.switching import customers
from tests.workflow.switching.customers import charges, each_period_once, reached
from tests.world import World, until

BOTH = pytest.mark.parametrize(
    "source", [Provider.PAYPAL, Provider.STRIPE], ids=["to_stripe", "to_paypal"]
)


async def test_an_abandoned_checkout_ends_the_switch_and_the_old_subscription_goes_on(
    world: World,
) -> None:
    customer = await customers.offered(world)
    found = await customers.now(world, customer)
    checkout = f"/_sim/checkout/{found.target_subscription_id}/expire"

    assert (await world.stripe_control.post(checkout)).is_success

    await reached(world, customer, SwitchStatus.ABANDONED)
    await customers.goes_on_as_before(world, customer)
    assert charges(world, customer) == each_period_once(customer)


@BOTH
async def test_a_checkout_whose_time_is_over_is_closed_by_us(
    world: World, source: Provider
) -> None:
    customer = await customers.offered(world, source)

    await customers.time_is_over(world, customer)

    found = await reached(world, customer, SwitchStatus.ABANDONED)
    assert found.reason == "the customer did not complete the checkout in time"
    await customers.goes_on_as_before(world, customer)
    assert charges(world, customer) == each_period_once(customer)


@BOTH
async def test_a_customer_who_cancels_instead_of_consenting_has_left(
    world: World, source: Provider
) -> None:
    customer = await customers.offered(world, source)

    await customers.cancel(world, customer)

    await reached(world, customer, SwitchStatus.CANCELED)
    await customers.never_suspended(world, customer)
    assert (
        await world.at_rest(customer.organization_id)
    ).deadline == customer.paid_at + customers.PERIOD
    assert charges(world, customer) == [customer.paid_at]
    await world.certify()


@BOTH
async def test_a_customer_who_cancels_after_consenting_has_left_both(
    world: World, boundaries: Boundaries, source: Provider
) -> None:
    customer = await customers.offered(world, source)
    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        await customers.cancel(world, customer)
        await world.at_rest(customer.organization_id)

    await reached(world, customer, SwitchStatus.CANCELED)

    await customers.never_suspended(world, customer)
    assert charges(world, customer) == [customer.paid_at]


async def test_a_customer_cancellation_during_our_stop_is_told_apart_from_that_stop(
    world: World,
) -> None:
    customer = await customers.offered(world)
    path = f"/v1/billing/subscriptions/{customer.subscription_id}/cancel"
    fault = world.paypal.faults.add("503", method="POST", path=path)
    await customers.consent(world, customer)
    await reached(world, customer, SwitchStatus.STOPPING)

    await customers.cancel(world, customer, deliver=False)
    world.paypal.faults.standing.remove(fault)

    await reached(world, customer, SwitchStatus.CANCELED)
    await customers.never_suspended(world, customer)
    assert charges(world, customer) == [customer.paid_at]


async def test_a_stop_still_in_progress_is_not_undone_before_it_ends(
    world: World,
) -> None:
    """An attempt that is presumed dead may send its call late, and a stopped subscription cannot be
    restored.
    """
    customer = await customers.offered(world)
    path = f"/v1/billing/subscriptions/{customer.subscription_id}/cancel"
    fault = world.paypal.faults.add("503", method="POST", path=path)
    await customers.consent(world, customer)
    await reached(world, customer, SwitchStatus.STOPPING)
    target = f"/_sim/subscriptions/{customers.new_subscription_id(world, customer)}/cancel"

    assert (await world.stripe_control.post(target, json={"deliver": False})).is_success
    call = f"GET /v1/subscriptions/{customers.new_subscription_id(world, customer)}"
    times = world.stripe.state.calls.get(call, 0)
    await until(lambda: called_again(world, call, times + 2), "two more looks")

    assert (await customers.now(world, customer)).state is SwitchStatus.STOPPING
    async with world.services.engine.begin() as conn:
        long_ago = text(
            "UPDATE migrations SET changed_at = changed_at - interval '1 hour' WHERE "
            "organization_id = :id"
        )
        await conn.execute(long_ago, {"id": customer.organization_id})
    await world.services.notifier.notify_switch(customer.organization_id)
    await reached(world, customer, SwitchStatus.UNDONE)
    world.paypal.faults.standing.remove(fault)
    await customers.goes_on_as_before(world, customer)
    assert charges(world, customer) == each_period_once(customer)


async def called_again(world: World, call: str, times: int) -> bool:
    return world.stripe.state.calls.get(call, 0) >= times


async def test_a_stop_that_comes_after_it_was_undone_is_noticed(
    world: World, boundaries: Boundaries
) -> None:
    """Like a worker that stalled between its commit and its call, longer than any timeout."""
    customer = await customers.offered(world)
    path = f"/v1/billing/subscriptions/{customer.subscription_id}/cancel"
    fault = world.paypal.faults.add("slow", method="POST", path=path, times=1, seconds=2)
    await customers.consent(world, customer)
    await until(lambda: struck(fault), "a stop under way")
    async with world.services.engine.begin() as conn:
        await standings.lock(conn, customer.organization_id)
        found = await switches.newest(conn, customer.organization_id)
        assert found is not None
        await switches.move(
            conn, found, SwitchStatus.UNDOING, outcome=SwitchStatus.UNDONE, reason="overtaken"
        )

    await reached(world, customer, SwitchStatus.UNDONE)

    await until(lambda: alerted(world, customer), "an alert that nobody bills")
    assert (await world.at_rest(customer.organization_id)).deadline is not None
    await world.certify()


async def struck(fault: Fault) -> bool:
    return fault.hits > 0


async def alerted(world: World, customer: customers.Customer) -> bool:
    return "nobody_bills" in await world.alerts(customer.organization_id)


def calls_at_stripe(world: World) -> dict[str, int]:
    """All calls except reads: other tests' customers are queried meanwhile."""
    return {
        call: times
        for call, times in world.stripe.state.calls.items()
        if not call.startswith("GET ")
    }


async def test_a_past_due_customer_is_refused_and_nothing_is_changed(world: World) -> None:
    customer = await customers.customer(world)
    for event_id in await world.happen(f"subscriptions/{customer.subscription_id}/fail_payment"):
        assert await world.deliver(event_id) == 200
    before = calls_at_stripe(world)

    await customers.start_switch(world, customer)

    found = await reached(world, customer, SwitchStatus.REFUSED)
    assert found.reason == "the subscription is past due: 49.00 USD is outstanding"
    assert (await customers.current(world, customer)).id == customer.subscription_id
    assert calls_at_stripe(world) == before


async def test_a_balance_outstanding_through_no_fault_of_the_customer_is_not_left_behind(
    world: World, boundaries: Boundaries
) -> None:
    """Our own account could not receive the payment: the customer is in good standing, but the
    period is still unpaid.
    """
    customer = await customers.offered(world)
    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        ours = {"reason_code": "PAYEE_ACCOUNT_RESTRICTED"}
        await world.act(f"subscriptions/{customer.subscription_id}/fail_payment", ours)

    found = await reached(world, customer, SwitchStatus.UNDONE)

    assert found.reason == "49.00 USD is outstanding at the old provider"
    await customers.goes_on_as_before(world, customer)


async def test_a_renewal_before_the_cut_over_undoes_it(
    world: World, boundaries: Boundaries
) -> None:
    """The new subscription would charge for a period that the old one has already charged for."""
    customer = await customers.offered(world)
    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        await world.act(f"subscriptions/{customer.subscription_id}/pay")

    found = await reached(world, customer, SwitchStatus.UNDONE)

    assert found.reason == "the old subscription renewed in the meantime"
    await customers.goes_on_as_before(world, customer)


async def test_a_new_subscription_that_fails_before_the_cut_over_is_undone(
    world: World, boundaries: Boundaries
) -> None:
    customer = await customers.offered(world, Provider.STRIPE)
    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        await world.act(
            f"subscriptions/{(await customers.now(world, customer)).target_subscription_id}/cancel"
        )

    undone = await reached(world, customer, SwitchStatus.UNDONE)

    assert undone.reason == "the new subscription is canceled"
    await customers.goes_on_as_before(world, customer)
    assert charges(world, customer) == each_period_once(customer)


async def test_a_new_subscription_that_is_canceled_to_its_first_charge_is_undone(
    world: World, boundaries: Boundaries
) -> None:
    """It is still a trial, and would never charge: the customer canceled it."""
    customer = await customers.offered(world)
    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        new = (await customers.now(world, customer)).target_subscription_id
        canceled = await world.stripe_control.post(
            f"/_sim/subscriptions/{new}/cancel_at_period_end", json={}
        )
        assert canceled.is_success

    undone = await reached(world, customer, SwitchStatus.UNDONE)

    assert undone.reason == "the customer canceled the new subscription"
    await customers.goes_on_as_before(world, customer)
    assert charges(world, customer) == each_period_once(customer)


async def test_a_target_that_fails_after_the_stop_raises_an_alert_and_the_paid_time_is_still_served(
    world: World, boundaries: Boundaries
) -> None:
    customer = await customers.offered(world, Provider.STRIPE)
    found = await customers.now(world, customer)
    async with customers.consented_before(world, boundaries, customer, "cut_over"):
        await world.act(f"subscriptions/{found.target_subscription_id}/cancel")

    await reached(world, customer, SwitchStatus.FAILED)

    standing = await world.look_again(customer.organization_id)
    assert standing.deadline == customer.paid_at + customers.PERIOD
    assert "nobody_bills" in await world.alerts(customer.organization_id)
    await customers.never_suspended(world, customer)


async def test_a_subscription_that_was_linked_meanwhile_is_left_alone(
    world: World, boundaries: Boundaries
) -> None:
    customer = await customers.offered(world)
    async with customers.consented_before(world, boundaries, customer, "stop_source"):
        another = await world.act("subscriptions", {"custom_id": customer.organization_id})
        linked = {"provider": "paypal", "subscription_id": another["object"]["id"]}
        await world.post(f"/v1/organizations/{customer.organization_id}/subscription", linked)

    found = await reached(world, customer, SwitchStatus.UNDONE)

    assert found.reason == "the old subscription is no longer the current one"
    assert (await customers.current(world, customer)).id == another["object"]["id"]
    assert world.paypal.state.subscriptions[customer.subscription_id].status == "ACTIVE"


async def test_a_plan_unknown_to_the_target_raises_an_alert_and_nothing_is_changed(
    world: World,
) -> None:
    customer = await customers.customer(world)

    await customers.start_switch(world, customer, plan="price_of_nothing")

    found = await reached(world, customer, SwitchStatus.UNDONE)
    assert "the checkout could not be created" in found.reason
    await customers.goes_on_as_before(world, customer)
