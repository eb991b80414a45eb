"""A provider that does not answer holds up its own customers alone."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from datetime import timedelta

import pytest

from activities.workflow_contracts import organization_workflow_id
from runtime import billing, worker
from tests.builders import onboard as store
from tests.builders import subscribe, usd
from tests.workflow.actors import AtStripe, ids_of, onboard
from tests.world import World, until

HANGING = 120


@pytest.fixture(autouse=True)
def _long_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that hangs outlasts the test, whatever the machine's load, but not its worker."""
    monkeypatch.setattr(billing, "PROVIDER_READ_SECONDS", 28.0)
    monkeypatch.setattr(worker, "GRACE", timedelta(0))


async def customers_whose_provider_hangs(world: World, number: int) -> list[str]:
    """Each lifecycle queries PayPal, which does not answer."""
    path = "/v1/billing/subscriptions/I-HANGS"
    world.paypal.faults.add("timeout_before", method="GET", path=path, seconds=600)
    ids = [f"hangs-{each:03}" for each in range(number)]
    for organization_id in ids:
        await store(world.services.engine, organization_id, balance="0")
        await subscribe(
            world.services.engine, f"I-HANGS{organization_id}", organization_id=organization_id
        )
    for start in range(0, number, 10):
        await asyncio.gather(*(world.ring(each) for each in ids[start : start + 10]))

    async def hanging() -> bool:
        return any(fault.hits for fault in world.paypal.faults.standing)

    await until(hanging, "a call that hangs")
    return ids


async def in_their_first_attempt(world: World, organization_ids: Sequence[str]) -> int:
    """How many lifecycles still wait for their first query of the provider."""
    count = 0
    for organization_id in organization_ids:
        workflow_id = organization_workflow_id(organization_id)
        described = await world.services.client.get_workflow_handle(workflow_id).describe()
        attempts = [each.attempt for each in described.raw_description.pending_activities]
        count += attempts in ([0], [1])
    return count


async def test_a_suspension_at_stripe_waits_for_none_of_120_calls_that_hang_at_paypal(
    idle_world: World,
) -> None:
    world = idle_world
    world.start_worker()
    actor = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)
    await world.applied(organization_id, "active")
    hanging = await customers_whose_provider_hangs(world, HANGING)

    await actor.fail(subscription.id)
    await actor.give_up(subscription.id)
    await world.applied(organization_id, "suspended")
    waiting = await in_their_first_attempt(world, hanging)

    assert await world.subaccount_status(organization_id) == "suspended"
    assert waiting == HANGING
    world.heal()


async def test_the_owner_of_a_delivery_of_stripe_is_found_while_paypal_does_not_answer(
    idle_world: World,
) -> None:
    world = idle_world
    world.start_worker()
    stripe = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world, balance="0")
    link = await stripe.link(organization_id, "25.00")
    subscribed = await world.act("subscriptions", {"custom_id": "nobody-knows"})
    hangs = world.paypal.faults.add(
        "timeout_before", method="GET", path="/v1/billing/subscriptions/", seconds=600
    )
    assert await world.deliver(subscribed["events"][0]["id"]) == 200

    async def hanging() -> bool:
        return hangs.hits > 0

    await until(hanging, "a query that hangs")
    hits = hangs.hits
    completed = await stripe.act(f"checkout/{link}/complete")
    [paid] = [
        world.stripe.events.all[event_id]
        for event_id in ids_of(completed)
        if "checkout" in world.stripe.events.all[event_id].type
    ]
    assert paid.body is not None
    session = {**paid.body["data"]["object"], "metadata": {}, "client_reference_id": None}
    await stripe.deliver_raw(
        json.dumps({**paid.body, "id": f"evt_{uuid.uuid4().hex}", "data": {"object": session}})
    )

    async def credited() -> bool:
        return (await world.wallet(organization_id)).available_micros == usd("25.00").micros

    await until(credited, "the top-up")
    assert hangs.hits == hits
    world.heal()
