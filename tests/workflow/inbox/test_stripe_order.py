"""Stripe guarantees no order, and may report one change with several events: the result is the
same, and happens once.
"""

import asyncio
import json
from itertools import permutations

import pytest

from db.billing import payments
from db.inbox import pending_deliveries
from db.lifecycle import receipts
from domain.billing.subscription import State
from domain.lifecycle.standing import Status
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
    body = {"provider": "stripe", "plan_id": DEFAULT_PRICE, **urls}
    checkout = await world.post(f"/v1/organizations/{organization_id}/subscription/checkout", body)
    done = await _act(actor, f"checkout/{checkout['subscription_id']}/complete")
    subscription_id = world.stripe.state.objects[checkout["subscription_id"]]["subscription"]
    events = done + await _act(
        actor, f"subscriptions/{subscription_id}/set_status", status="active"
    )

    await actor.deliver(events[index] for index in order)

    async def settled() -> bool:
        subscription = await current(world, organization_id)
        booked = await world.read(
            lambda conn: payments.of_organization(conn, organization_id, limit=10)
        )
        return (
            subscription is not None
            and (subscription.id, subscription.snapshot.state) == (subscription_id, State.ACTIVE)
            and len(booked) == 1
        )

    await until(settled, f"order {order} settled")
    assert (await world.at_rest(organization_id)).status == "active"


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("outcome", ["unpaid", "paused"])
async def test_two_different_events_for_one_change_change_it_once(
    world: World, outcome: str, *, backwards: bool
) -> None:
    """They have the same second and different ids: neither the inbox nor the time shows that they
    are one change.

    Two of one type for `unpaid`; `paused` and `updated` for a pause.
    """
    actor = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)
    before = await world.at_rest(organization_id)

    lapse = await actor.act(f"subscriptions/{subscription.id}/give_up", outcome=outcome)
    both = [
        lapse["events"][-1]["id"],
        _again(world, lapse["events"][-1]["id"], "customer.subscription.updated"),
    ]
    await actor.deliver(reversed(both) if backwards else both)
    after = await world.at_rest(organization_id)

    written = await world.read(
        lambda conn: receipts.of_organization(conn, organization_id, limit=10)
    )
    assert (after.status, after.epoch) == (Status.SUSPENDED, before.epoch + 1)
    assert [receipt.epoch for receipt in written] == [after.epoch]
    await world.certify()


async def test_two_different_events_for_one_payment_book_it_once(world: World) -> None:
    actor = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)

    async def booked(at_least: int) -> list[str]:
        found = await world.read(
            lambda conn: payments.of_organization(conn, organization_id, limit=10)
        )
        return [payment.object_id for payment in found] if len(found) >= at_least else []

    await until(lambda: booked(1), "the first payment booked")
    events = await _act(actor, f"subscriptions/{subscription.id}/pay")
    [paid] = [
        event_id for event_id in events if world.stripe.events.all[event_id].type == "invoice.paid"
    ]
    await asyncio.gather(
        *(actor.deliver([event_id]) for event_id in (*events, _again(world, paid, "invoice.paid")))
    )
    await until(lambda: booked(2), "the second payment booked")
    await world.at_rest(organization_id)

    assert len(await booked(2)) == 2


async def test_a_thin_event_is_stored_and_what_it_names_is_fetched(world: World) -> None:
    actor = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)
    await _act(actor, f"subscriptions/{subscription.id}/give_up")
    thin = {
        "id": f"evt_thin_{organization_id}",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "livemode": False,
        "created": "2026-11-26T12:00:00.000Z",
        "related_object": {
            "id": subscription.id,
            "type": "subscription",
            "url": f"/v1/subscriptions/{subscription.id}",
        },
    }

    await actor.deliver_raw(json.dumps(thin))

    await world.applied(organization_id, "suspended")
    await world.at_rest(organization_id)
    stored = await world.read(
        lambda conn: pending_deliveries.of_organization(conn, organization_id, limit=10)
    )
    assert [delivery.status for delivery in stored if delivery.event_id == thin["id"]] == [
        "handled"
    ]


def _again(world: World, event_id: str, event_type: str) -> str:
    """A second event for the same change, in the same second."""
    event = world.stripe.events.all[event_id]
    assert event.body is not None
    again = world.stripe.events.emit(
        event_type, event.body["data"]["object"], at=event.body["created"]
    )
    return again.id


async def _act(actor: AtStripe, path: str, **fields: str) -> list[str]:
    answer = await actor.control.post(f"/_sim/{path}", json={"deliver": False, **fields})
    return [event["id"] for event in answer.json()["events"]]
