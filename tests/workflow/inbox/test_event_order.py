"""Whatever the order, number and age of deliveries, the end state is the provider's."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from db.billing import subscriptions
from domain.lifecycle.standing import Status
from tests.workflow.stops import subscription_path
from tests.world import World, until

THREE = list(permutations(range(3)))


def at(seconds_ago: float, now: datetime | None = None) -> dict[str, str]:
    return {"at": ((now or datetime.now(UTC)) - timedelta(seconds=seconds_ago)).isoformat()}


async def deliver_all(world: World, event_ids: Sequence[str], order: Sequence[int]) -> None:
    for index in order:
        assert await world.deliver(event_ids[index]) == 200


@pytest.mark.parametrize("ago", [(3, 2), (0, 0)], ids=["a second apart", "in the same second"])
async def test_suspended_activated_and_paid_end_active_in_every_order(
    world: World, ago: tuple[int, int]
) -> None:
    async def play(order: Sequence[int]) -> None:
        organization_id, subscription_id = await world.organization()
        now = datetime.now(UTC)
        events = await world.happen(f"subscriptions/{subscription_id}/suspend", at(ago[0], now))
        events += await world.happen(f"subscriptions/{subscription_id}/pay", at(ago[1], now))
        await deliver_all(world, events, order)
        standing = await world.at_rest(organization_id)

        assert standing.status is Status.ACTIVE, order
        assert (await world.wallet(organization_id)).pays, order
        assert await world.subaccount_status(organization_id) == "active", order

    await asyncio.gather(*(play(order) for order in THREE))
    await world.certify()


async def test_activated_paid_and_suspended_end_suspended_in_every_order(world: World) -> None:
    async def play(order: Sequence[int]) -> None:
        organization_id, subscription_id = await world.organization()
        await world.act(f"subscriptions/{subscription_id}/suspend", at(3))
        events = await world.happen(f"subscriptions/{subscription_id}/pay", at(2))
        events += await world.happen(f"subscriptions/{subscription_id}/suspend", at(0))
        await deliver_all(world, events, order)
        standing = await world.at_rest(organization_id)

        assert standing.status is Status.SUSPENDED, order
        assert (await world.wallet(organization_id)).frozen, order
        assert await world.subaccount_status(organization_id) == "suspended", order

    await asyncio.gather(*(play(order) for order in THREE))
    await world.certify()


async def test_created_activated_and_paid_end_active_in_every_order_before_and_after_the_link(
    world: World,
) -> None:
    async def play(order: Sequence[int], linked_after: int) -> None:
        organization_id, _ = await world.organization()
        subscription = await world.act("subscriptions", {"custom_id": organization_id})
        events = [event["id"] for event in subscription["events"]]
        subscription_id = subscription["object"]["id"]
        await deliver_all(world, events, order[:linked_after])
        await world.post(
            f"/v1/organizations/{organization_id}/subscription",
            {"provider": "paypal", "subscription_id": subscription_id},
        )
        await deliver_all(world, events, order[linked_after:])
        standing = await world.at_rest(organization_id)

        assert len(events) == 3
        assert (standing.status, standing.epoch) == (Status.ACTIVE, 0), order
        assert (await world.wallet(organization_id)).pays, order

    await asyncio.gather(*(play(order, index % 4) for index, order in enumerate(THREE)))
    await world.certify()


async def test_a_duplicate_25_times_at_once_changes_nothing(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")

    first = await asyncio.gather(*(world.deliver(suspended) for _ in range(25)))
    standing = await world.applied(organization_id, "suspended")
    again = await asyncio.gather(*(world.deliver(suspended) for _ in range(25)))
    after = await world.at_rest(organization_id)

    assert set(first + again) == {200}
    assert standing.epoch == 1
    assert after == standing
    await world.certify()


async def test_an_older_event_late_changes_nothing(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend", at(5))
    await world.act(f"subscriptions/{subscription_id}/pay", at(2))
    before = await world.look_again(organization_id)
    gate_before = (await world.wallet(organization_id)).gate_open

    answer = await world.deliver(suspended)

    assert (answer, gate_before) == (200, True)
    assert (await world.wallet(organization_id)).gate_open
    assert await world.at_rest(organization_id) == before
    assert before.epoch == 0
    await world.certify()


async def test_an_event_of_the_same_second_queries_the_provider_and_shuts_until_its_answer_is_repeated(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    await world.at_rest(organization_id)
    moment = at(0)
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend", moment)
    await world.act(f"subscriptions/{subscription_id}/pay", moment)
    before = await world.look_again(organization_id)
    call = f"GET /v1/billing/subscriptions/{subscription_id}"
    calls_before = world.paypal.state.calls[call]

    assert await world.deliver(suspended) == 200
    calls_when_answered = world.paypal.state.calls[call]

    gate_when_answered = (await world.wallet(organization_id)).gate_open
    after = await world.at_rest(organization_id)

    assert calls_when_answered > calls_before
    assert not gate_when_answered  # PayPal's answer may be the earlier state
    assert (after.status, after.epoch) == (Status.ACTIVE, before.epoch + 2)
    await world.certify()


async def test_an_event_of_the_same_second_shuts_when_the_provider_does_not_answer(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    await world.at_rest(organization_id)
    created = world.paypal.state.subscriptions[subscription_id].updated
    [suspended] = await world.happen(
        f"subscriptions/{subscription_id}/suspend", {"at": created.isoformat()}
    )
    world.paypal.faults.add("down", path=subscription_path(subscription_id))

    assert await world.deliver(suspended) == 200

    assert not (await world.wallet(organization_id)).gate_open
    world.heal()
    await world.applied(organization_id, "suspended")
    await world.certify()


async def test_an_unknown_status_changes_nothing_and_alerts(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    before = await world.at_rest(organization_id)
    [updated] = await world.happen(
        f"subscriptions/{subscription_id}/update", {"status": "ON_HOLIDAY"}
    )

    assert await world.deliver(updated) == 200

    assert await world.at_rest(organization_id) == before
    assert "ON_HOLIDAY" in (await world.alerts(organization_id))["unknown_status"]
    assert (await world.wallet(organization_id)).pays
    await world.certify()


async def test_a_subscription_that_the_provider_does_not_find_suspends_nobody(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    before = await world.at_rest(organization_id)
    lost = world.paypal.state.subscriptions.pop(subscription_id)

    await world.ring(organization_id)

    async def alerted() -> bool:
        return "unknown_status" in await world.alerts(organization_id)

    await until(alerted, "the alert")
    assert await world.at_rest(organization_id) == before
    assert (await world.wallet(organization_id)).pays

    world.paypal.state.subscriptions[subscription_id] = lost
    assert await world.look_again(organization_id) == before
    assert await world.alerts(organization_id) == {}


async def test_an_event_of_another_subscription_of_the_organization_changes_nothing(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    other = (await world.act("subscriptions", {"custom_id": organization_id}))["object"]["id"]
    await world.post(
        f"/v1/organizations/{organization_id}/subscription",
        {"provider": "paypal", "subscription_id": other},
    )
    before = await world.at_rest(organization_id)
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")

    assert await world.deliver(suspended) == 200

    assert await world.at_rest(organization_id) == before
    assert before.epoch == 0
    assert (await world.wallet(organization_id)).pays
    await world.certify()


async def test_an_event_of_a_lapsed_subscription_that_nobody_linked_changes_nothing(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    before = await world.at_rest(organization_id)
    other = (await world.act("subscriptions", {"custom_id": organization_id}))["object"]["id"]
    [suspended] = await world.happen(f"subscriptions/{other}/suspend")

    assert await world.deliver(suspended) == 200

    assert await world.at_rest(organization_id) == before
    linked = await world.read(lambda conn: subscriptions.of_organization(conn, organization_id))
    assert other not in {subscription.id for subscription in linked}
    await world.certify()
