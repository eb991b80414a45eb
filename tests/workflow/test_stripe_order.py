"""Stripe promises no order: whatever comes first, the subscription is taken over and its payment booked once."""

import asyncio
from itertools import permutations

from db import payments
from domain.subscription import State
from simulators.stripe.state import DEFAULT_PRICE
from tests.workflow.actors import AtStripe, current, onboard
from tests.world import World, until


async def test_all_orders_of_a_completed_checkouts_events_end_the_same(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        for order in permutations(range(4)):
            group.create_task(_completed_in(world, order))


async def _completed_in(world: World, order: tuple[int, ...]) -> None:
    actor = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world)
    urls = {"return_url": "https://host.test/done", "cancel_url": "https://host.test/not"}
    asked = {"provider": "stripe", "plan_id": DEFAULT_PRICE, **urls}
    checkout = await world.post(f"/v1/organizations/{organization_id}/subscription/checkout", asked)
    done = await _act(actor, f"checkout/{checkout['subscription_id']}/complete")
    subscription_id = world.stripe.state.objects[checkout["subscription_id"]]["subscription"]
    events = done + await _act(actor, f"subscriptions/{subscription_id}/set_status", status="active")

    await actor.deliver(events[index] for index in order)

    async def settled() -> bool:
        subscription = await current(world, organization_id)
        booked = await world.read(lambda conn: payments.of_organization(conn, organization_id, limit=10))
        return (
            subscription is not None
            and (subscription.id, subscription.snapshot.state) == (subscription_id, State.ACTIVE)
            and len(booked) == 1
        )

    await until(settled, f"order {order} settled")
    assert (await world.at_rest(organization_id)).status == "active"


async def _act(actor: AtStripe, path: str, **asked: str) -> list[str]:
    answer = await actor.control.post(f"/_sim/{path}", json={"deliver": False, **asked})
    return [event["id"] for event in answer.json()["events"]]
