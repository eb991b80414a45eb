"""Customers are moved to the other provider: each period is charged for once, by somebody, and the service is on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from activities.doorbell import migration_workflow_id
from domain.migration import Progress
from domain.subscription import Provider, State
from tests.workflow import customers
from tests.workflow.customers import Customer, charges, each_period_once, reached
from tests.workflow.stops import Boundaries, details
from tests.world import World, until

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
    story = (await world.api.get(f"/v1/organizations/{one.organization_id}/explain")).json()["story"]
    assert any(f"migration to {one.target.value} is completed" in sentence for sentence in story)
    assert charges(world, one) == each_period_once(one)
    await world.certify()


@BOTH
async def test_a_customer_who_is_moved_there_and_back_before_a_renewal_is_charged_once(
    world: World, source: Provider
) -> None:
    one = await customers.offered(world, source)
    await customers.consent(world, one)
    await reached(world, one, Progress.COMPLETED)
    await world.at_rest(one.organization_id)
    back = replace(one, source=one.target, subscription_id=(await customers.current(world, one)).id)

    await customers.migrate(world, back)
    await reached(world, back, Progress.OFFERED)
    await customers.consent(world, back)
    await reached(world, back, Progress.COMPLETED)

    assert (await world.look_again(one.organization_id)).deadline is None
    assert (await customers.current(world, one)).provider is source
    await never_suspended(world, one)
    assert await world.alerts(one.organization_id) == {}
    assert charges(world, one) == each_period_once(one)


@BOTH
async def test_while_both_exist_nobody_is_alarmed_and_the_old_one_stays_the_current_one(
    world: World, boundaries: Boundaries, source: Provider
) -> None:
    one = await customers.offered(world, source)

    async with customers.consented_before(world, boundaries, one, "stop_source"):
        await world.look_again(one.organization_id)
        await goes_on_as_before(world, one)

    await reached(world, one, Progress.COMPLETED)
    await never_suspended(world, one)


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
    assert (await reached(world, one, Progress.UNDONE)).reason == "the old subscription is past_due"
    await world.certify()


async def test_an_abandoned_checkout_ends_the_migration_and_the_old_subscription_goes_on(world: World) -> None:
    one = await customers.offered(world)
    found = await customers.now(world, one)
    checkout = f"/_sim/checkout/{found.target_subscription_id}/expire"

    assert (await world.stripe_control.post(checkout)).is_success

    await reached(world, one, Progress.ABANDONED)
    await goes_on_as_before(world, one)
    assert charges(world, one) == each_period_once(one)


@BOTH
async def test_a_checkout_whose_time_is_over_is_closed_by_us(world: World, source: Provider) -> None:
    one = await customers.offered(world, source)

    await customers.time_is_over(world, one)

    found = await reached(world, one, Progress.ABANDONED)
    assert found.reason == "the checkout was not finished in its time"
    await goes_on_as_before(world, one)
    assert charges(world, one) == each_period_once(one)


@BOTH
async def test_a_customer_who_cancels_instead_of_consenting_has_left(world: World, source: Provider) -> None:
    one = await customers.offered(world, source)

    await customers.cancel(world, one)

    await reached(world, one, Progress.CANCELED)
    await never_suspended(world, one)
    assert (await world.at_rest(one.organization_id)).deadline == one.paid_at + customers.PERIOD
    assert charges(world, one) == [one.paid_at]
    await world.certify()


@BOTH
async def test_a_customer_who_cancels_after_consenting_has_left_both(
    world: World, boundaries: Boundaries, source: Provider
) -> None:
    one = await customers.offered(world, source)
    async with customers.consented_before(world, boundaries, one, "stop_source"):
        await customers.cancel(world, one)
        await world.at_rest(one.organization_id)

    await reached(world, one, Progress.CANCELED)

    await never_suspended(world, one)
    assert charges(world, one) == [one.paid_at]


async def test_a_customer_who_cancels_while_we_are_stopping_is_told_from_our_own_stop(world: World) -> None:
    one = await customers.offered(world)
    path = f"/v1/billing/subscriptions/{one.subscription_id}/cancel"
    fault = world.paypal.faults.add("503", method="POST", path=path)
    await customers.consent(world, one)
    await reached(world, one, Progress.STOPPING)

    await customers.cancel(world, one, deliver=False)
    world.paypal.faults.standing.remove(fault)

    await reached(world, one, Progress.CANCELED)
    await never_suspended(world, one)
    assert charges(world, one) == [one.paid_at]


def asked_of_stripe(world: World) -> dict[str, int]:
    """All but what only reads: other tests' customers are looked at meanwhile."""
    return {call: times for call, times in world.stripe.state.calls.items() if not call.startswith("GET ")}


async def test_who_is_past_due_is_refused_and_nothing_is_touched(world: World) -> None:
    one = await customers.customer(world)
    for event_id in await world.happen(f"subscriptions/{one.subscription_id}/fail_payment"):
        assert await world.deliver(event_id) == 200
    before = asked_of_stripe(world)

    await customers.migrate(world, one)

    found = await reached(world, one, Progress.REFUSED)
    assert found.reason == "the subscription is past due: 49.00 USD is outstanding"
    assert (await customers.current(world, one)).id == one.subscription_id
    assert asked_of_stripe(world) == before


async def test_what_is_outstanding_through_no_fault_of_the_customer_is_not_left_behind(
    world: World, boundaries: Boundaries
) -> None:
    """Our own account could not be paid: the customer is served and in good standing, and the period is owed still."""
    one = await customers.offered(world)
    async with customers.consented_before(world, boundaries, one, "stop_source"):
        ours = {"reason_code": "PAYEE_ACCOUNT_RESTRICTED"}
        await world.act(f"subscriptions/{one.subscription_id}/fail_payment", ours)

    found = await reached(world, one, Progress.UNDONE)

    assert found.reason == "49.00 USD is outstanding at the old provider"
    await goes_on_as_before(world, one)


@BOTH
async def test_a_renewal_within_two_days_is_waited_for(world: World, source: Provider) -> None:
    one = await customers.customer(world, source, renews_in=timedelta(hours=47))
    await customers.migrate(world, one)
    found = await reached(world, one, Progress.WAITING)
    assert found.first_charge_at == one.paid_at + customers.PERIOD
    assert "less than two days" in await details(world, migration_workflow_id(one.organization_id))

    renewed = charges(world, one, periods=1)
    await world.services.doorbell.ring_migration(one.organization_id)

    found = await reached(world, one, Progress.OFFERED)
    assert found.first_charge_at == one.paid_at + 2 * customers.PERIOD
    assert renewed == each_period_once(one, 1)
    await customers.consent(world, one)
    await reached(world, one, Progress.COMPLETED)
    assert charges(world, one, periods=3) == each_period_once(one, 3)


async def test_the_timer_of_a_near_renewal_ends_by_itself(world: World) -> None:
    one = await customers.customer(world, renews_in=timedelta(seconds=2))
    await customers.migrate(world, one)
    await reached(world, one, Progress.WAITING)
    await customers.restart(world, one, after_renewal_seconds=1)
    charges(world, one, periods=1)

    await reached(world, one, Progress.OFFERED)

    await goes_on_as_before(world, one)


async def test_a_renewal_that_is_charged_late_is_asked_for_now_and_then(world: World) -> None:
    one = await customers.customer(world, renews_in=-timedelta(hours=2))
    await customers.migrate(world, one)
    await reached(world, one, Progress.WAITING)
    handle = world.services.client.get_workflow_handle(migration_workflow_id(one.organization_id))

    async def timers() -> list[timedelta]:
        events = (await handle.fetch_history()).events
        begun = [each.timer_started_event_attributes for each in events]
        return [each.start_to_fire_timeout.ToTimedelta() for each in begun if each.timer_id]

    assert (await until(timers, "its timer"))[0] == timedelta(hours=1)


async def test_what_is_renewed_every_day_is_not_waited_for_for_ever(world: World) -> None:
    one = await customers.customer(world, renews_in=timedelta(hours=2))
    await customers.migrate(world, one)
    found = await reached(world, one, Progress.WAITING)
    assert found.first_charge_at is not None

    world.paypal.state.subscriptions[one.subscription_id].next_billing = found.first_charge_at + timedelta(days=1)
    await world.services.doorbell.ring_migration(one.organization_id)

    assert (await reached(world, one, Progress.REFUSED)).reason == "it is renewed more often than every two days"
    await goes_on_as_before(world, one)


async def test_a_renewal_before_the_cut_over_undoes_it(world: World, boundaries: Boundaries) -> None:
    """The new subscription would charge for the period that the old one has charged for."""
    one = await customers.offered(world)
    async with customers.consented_before(world, boundaries, one, "stop_source"):
        await world.act(f"subscriptions/{one.subscription_id}/pay")

    found = await reached(world, one, Progress.UNDONE)

    assert found.reason == "the old subscription was renewed meanwhile"
    await goes_on_as_before(world, one)


@BOTH
async def test_a_late_word_of_the_old_provider_suspends_nobody(world: World, source: Provider) -> None:
    one = await customers.customer(world, source)
    deliveries = world.paypal.deliveries if source is Provider.PAYPAL else world.stripe.deliveries
    events = world.paypal.events if source is Provider.PAYPAL else world.stripe.events
    lost = deliveries.faults.add("lost", match=r"BILLING\.SUBSCRIPTION\.CANCELLED|customer\.subscription\.deleted")
    try:
        await customers.migrate(world, one)
        await reached(world, one, Progress.OFFERED)
        await customers.consent(world, one)
        await reached(world, one, Progress.COMPLETED)
    finally:
        deliveries.faults.standing.remove(lost)
    assert lost.hits == 1
    late = [each for each in events.all.values() if one.subscription_id.encode() in each.raw][-1]

    deliveries.deliver([late])

    async def heard() -> bool:
        return await customers.delivered(world, late.id)

    await until(heard, "the late word heard")
    await never_suspended(world, one)
    assert (await customers.current(world, one)).provider is one.target
    await world.certify()


async def test_a_new_subscription_that_fails_before_the_cut_over_is_undone(
    world: World, boundaries: Boundaries
) -> None:
    one = await customers.offered(world, Provider.STRIPE)
    async with customers.consented_before(world, boundaries, one, "stop_source"):
        await world.act(f"subscriptions/{(await customers.now(world, one)).target_subscription_id}/cancel")

    undone = await reached(world, one, Progress.UNDONE)

    assert undone.reason == "the new subscription is canceled"
    await goes_on_as_before(world, one)
    assert charges(world, one) == each_period_once(one)


async def test_a_new_subscription_that_is_canceled_to_its_first_charge_is_undone(
    world: World, boundaries: Boundaries
) -> None:
    """It is a trial still, and would never charge: the customer does not want it."""
    one = await customers.offered(world)
    async with customers.consented_before(world, boundaries, one, "stop_source"):
        new = (await customers.now(world, one)).target_subscription_id
        canceled = await world.stripe_control.post(f"/_sim/subscriptions/{new}/cancel_at_period_end", json={})
        assert canceled.is_success

    undone = await reached(world, one, Progress.UNDONE)

    assert undone.reason == "the customer canceled the new subscription"
    await goes_on_as_before(world, one)
    assert charges(world, one) == each_period_once(one)


async def test_a_new_subscription_that_fails_after_the_stop_is_told_to_a_person_and_what_is_paid_is_still_owed(
    world: World, boundaries: Boundaries
) -> None:
    one = await customers.offered(world, Provider.STRIPE)
    found = await customers.now(world, one)
    async with customers.consented_before(world, boundaries, one, "cut_over"):
        await world.act(f"subscriptions/{found.target_subscription_id}/cancel")

    await reached(world, one, Progress.FAILED)

    standing = await world.look_again(one.organization_id)
    assert standing.deadline == one.paid_at + customers.PERIOD
    assert "nobody_bills" in await world.alerts(one.organization_id)
    await never_suspended(world, one)


async def test_a_first_charge_that_fails_before_a_late_cut_over_is_a_debt_at_the_new_provider(
    world: World, boundaries: Boundaries
) -> None:
    """Nobody hears of anything meanwhile: the cut-over alone names the new one."""
    one = await customers.customer(world, Provider.STRIPE)
    lost = world.stripe.deliveries.faults.add("lost")
    await customers.migrate(world, one)
    found = await reached(world, one, Progress.OFFERED)
    async with boundaries.held("cut_over", one.organization_id) as stop:
        await customers.consent(world, one, deliver=False)
        await world.services.doorbell.ring_migration(one.organization_id)
        await stop.reached.wait()
        await world.act(f"subscriptions/{found.target_subscription_id}/fail_payment")
    await reached(world, one, Progress.COMPLETED)
    world.stripe.deliveries.faults.standing.remove(lost)

    current = await customers.current(world, one)
    assert (current.provider, current.snapshot.state) == (one.target, State.PAST_DUE)
    assert (await world.standing(one.organization_id)).deadline is not None
    await never_suspended(world, one)


@BOTH
async def test_a_new_subscription_that_the_application_links_by_itself_is_moved_to(
    world: World, boundaries: Boundaries, source: Provider
) -> None:
    """As when the customer comes back from the checkout; the migration is in the middle of it."""
    one = await customers.offered(world, source)
    async with customers.consented_before(world, boundaries, one, "stop_source"):
        linked = {"provider": one.target.value, "subscription_id": customers.new_one(world, one)}
        await world.post(f"/v1/organizations/{one.organization_id}/subscription", linked)
        await world.look_again(one.organization_id)
        assert "two_subscriptions_bill" not in await world.alerts(one.organization_id)

    await reached(world, one, Progress.COMPLETED)

    assert (await customers.current(world, one)).id == linked["subscription_id"]
    await never_suspended(world, one)
    assert await world.alerts(one.organization_id) == {}
    assert charges(world, one) == each_period_once(one)
    await world.certify()


async def test_a_subscription_that_was_linked_meanwhile_is_left_alone(world: World, boundaries: Boundaries) -> None:
    one = await customers.offered(world)
    async with customers.consented_before(world, boundaries, one, "stop_source"):
        another = await world.act("subscriptions", {"custom_id": one.organization_id})
        linked = {"provider": "paypal", "subscription_id": another["object"]["id"]}
        await world.post(f"/v1/organizations/{one.organization_id}/subscription", linked)

    found = await reached(world, one, Progress.UNDONE)

    assert found.reason == "the old subscription is not the current one any more"
    assert (await customers.current(world, one)).id == another["object"]["id"]
    assert world.paypal.state.subscriptions[one.subscription_id].status == "ACTIVE"


async def test_a_plan_that_the_target_does_not_know_is_told_and_nothing_is_touched(world: World) -> None:
    one = await customers.customer(world)

    await customers.migrate(world, one, plan="price_of_nothing")

    found = await reached(world, one, Progress.UNDONE)
    assert "no checkout could be made" in found.reason
    await goes_on_as_before(world, one)
