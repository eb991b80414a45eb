"""One subscription's complete life, run at every provider: the same story has the same outcome."""

import pytest

from db.billing import payments
from domain.billing.subscription import State
from domain.lifecycle.standing import Block, Standing
from tests.workflow.actors import Actor, current, onboard
from tests.world import World, until


async def now(world: World, organization_id: str) -> tuple[Standing, State]:
    standing = await world.at_rest(organization_id)
    subscription = await current(world, organization_id)
    assert subscription is not None
    return standing, subscription.snapshot.state


@pytest.mark.parametrize("backwards", [False, True])
async def test_subscribed_failed_and_recovered(actor: Actor, *, backwards: bool) -> None:
    world, actor.backwards = actor.world, backwards
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)

    async def booked() -> bool:
        found = await world.read(
            lambda conn: payments.of_organization(conn, organization_id, limit=10)
        )
        return len(found) == 1

    await until(booked, "the first payment was booked once")
    assert not subscription.id.startswith("cs_")

    await actor.fail(subscription.id)
    standing, state = await now(world, organization_id)
    assert (standing.status, state) == ("active", State.PAST_DUE)
    assert standing.deadline is not None

    await actor.happen(f"subscriptions/{subscription.id}/pay")
    standing, state = await now(world, organization_id)
    assert (standing.status, standing.deadline, state) == ("active", None, State.ACTIVE)

    await actor.fail(subscription.id)
    await actor.give_up(subscription.id)
    assert (await actor.world.debit(organization_id)).status_code == 423
    await world.applied(organization_id, "suspended")
    assert await world.subaccount_status(organization_id) == "suspended"

    await actor.happen(f"subscriptions/{subscription.id}/pay")
    await world.applied(organization_id, "active")
    assert await world.subaccount_status(organization_id) == "active"
    await world.certify()


async def test_refunded_and_disputed(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)

    for amount in ("10.00", "5.00"):
        await actor.happen(f"payments/{await actor.payment(subscription.id)}/refund", amount=amount)
    assert (await world.at_rest(organization_id)).status == "active"

    won = await actor.dispute(subscription.id)
    assert (await world.applied(organization_id, "suspended")).blocks == {Block.DISPUTE}
    await actor.settle(won, lost=False)
    await world.applied(organization_id, "active")

    await actor.happen(f"subscriptions/{subscription.id}/pay")
    lost = await actor.dispute(subscription.id)
    await world.applied(organization_id, "suspended")
    await actor.settle(lost, lost=True)
    assert (await world.at_rest(organization_id)).blocks == {Block.DISPUTE}
    await world.certify()


async def test_canceled_subscribed_again_and_expired(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    old = await actor.subscribe(organization_id)

    await actor.happen(f"subscriptions/{old.id}/cancel")
    standing, state = await now(world, organization_id)
    assert (standing.status, state) == ("active", State.CANCELED)
    assert standing.deadline is not None  # the paid period is still served

    new = await actor.subscribe(organization_id)
    assert new.id != old.id
    standing, state = await now(world, organization_id)
    assert (standing.status, standing.deadline, state) == ("active", None, State.ACTIVE)

    await actor.expire(new.id)
    assert (await world.applied(organization_id, "suspended")).blocks == {Block.CANCELED}

    newest = await actor.subscribe(organization_id)
    assert newest.id not in (old.id, new.id)
    await world.applied(organization_id, "active")
    await world.certify()


@pytest.mark.parametrize("suspended", [False, True])
async def test_an_unrecognized_status_in_a_response_changes_nothing_and_alerts(
    actor: Actor, *, suspended: bool
) -> None:
    world = actor.world
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)
    if suspended:
        await actor.fail(subscription.id)
        await actor.give_up(subscription.id)
        await world.applied(organization_id, "suspended")
    before, snapshot = await now(world, organization_id)
    await actor.set_raw_status(subscription.id, "ON_HOLIDAY")

    await world.ring(organization_id)

    async def alerted() -> bool:
        return "ON_HOLIDAY" in (await world.alerts(organization_id)).get("unknown_status", "")

    await until(alerted, "the alert")
    assert await now(world, organization_id) == (before, snapshot)
    assert (await world.debit(organization_id)).status_code == (423 if suspended else 201)
    await world.certify()
