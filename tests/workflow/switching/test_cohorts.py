"""A cohort starts at a limited pace, can be paused, and stops automatically when too many switches
fail.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from cli.switch_customers import BY_HAND, Plan, start
from db.lifecycle import standings
from db.switching import cohorts, switches
from domain.billing.subscription import Provider
from domain.switching.switch import SwitchStatus, in_cohort
from simulators.stripe.state import DEFAULT_PRICE
from tests.workflow.stops import somebody_waits_for
from tests.workflow.switching import customers
from tests.workflow.switching.customers import reached
from tests.world import World

FAST = 60_000.0


@pytest_asyncio.fixture
async def own_world(idle_world: World) -> AsyncIterator[World]:
    """The test's own world, because it counts cohorts."""
    idle_world.start_worker()
    yield idle_world


def plan(percent: float = 100, plan_id: str = DEFAULT_PRICE, error_budget: float = 2) -> Plan:
    return Plan(
        target=Provider.STRIPE,
        plan_id=plan_id,
        return_url="https://host.test/moved",
        cancel_url="https://host.test/not",
        percent=percent,
        per_minute=FAST,
        error_budget=error_budget,
    )


async def counts(world: World) -> dict[SwitchStatus, int]:
    return await world.read(lambda conn: cohorts.counts(conn, Provider.STRIPE))


async def test_a_cohort_holds_who_is_in_it_and_a_larger_one_adds_the_others(
    own_world: World,
) -> None:
    world = own_world
    everybody = [await customers.customer(world) for _ in range(6)]
    already_there = await customers.customer(world, Provider.STRIPE)

    assert await start(world.services, plan(50)) is None
    first = [each for each in everybody if in_cohort(each.organization_id, 50)]
    for customer in first:
        await reached(world, customer, SwitchStatus.OFFERED)
    some = await counts(world)
    assert await start(world.services, plan(100)) is None
    for customer in everybody:
        await reached(world, customer, SwitchStatus.OFFERED)

    assert some.get(SwitchStatus.OFFERED, 0) == len(first)
    assert await counts(world) == {SwitchStatus.OFFERED: 6}
    there = await world.api.get(f"/v1/organizations/{already_there.organization_id}/switch")
    assert there.status_code == 404


async def test_a_customer_whose_switch_was_started_since_the_page_was_read_is_not_started_again(
    own_world: World,
) -> None:
    world = own_world
    customer = await customers.customer(world)
    source = await customers.current(world, customer)
    async with world.services.engine.begin() as conn:
        await standings.lock(conn, customer.organization_id)
        command = asyncio.create_task(start(world.services, plan()))
        await somebody_waits_for(world, "standings")
        await switches.start(
            conn,
            source,
            Provider.STRIPE,
            plan_id=DEFAULT_PRICE,
            return_url="https://a.test",
            cancel_url="https://a.test",
        )
        switch = await switches.newest(conn, customer.organization_id)
        assert switch is not None
        await switches.move(conn, switch, SwitchStatus.REFUSED)

    assert await command is None
    assert await counts(world) == {SwitchStatus.REFUSED: 1}


async def test_a_paused_cohort_starts_nobody_and_those_under_way_go_on(own_world: World) -> None:
    world = own_world
    customer = await customers.customer(world)
    assert await start(world.services, plan()) is None
    await reached(world, customer, SwitchStatus.OFFERED)
    later = await customers.customer(world)
    async with world.services.engine.begin() as conn:
        await cohorts.pause(conn, Provider.STRIPE, BY_HAND)

    assert await start(world.services, plan()) == BY_HAND
    await customers.consent(world, customer)
    await reached(world, customer, SwitchStatus.COMPLETED)
    assert await counts(world) == {SwitchStatus.COMPLETED: 1}

    async with world.services.engine.begin() as conn:
        await cohorts.resume(conn, Provider.STRIPE)
    assert await start(world.services, plan()) is None
    await reached(world, later, SwitchStatus.OFFERED)


async def test_it_stops_by_itself_past_the_error_budget_until_somebody_resumes_it(
    own_world: World,
) -> None:
    world = own_world
    first = await customers.customer(world)
    assert await start(world.services, plan(plan_id="price_of_nothing")) is None
    await reached(world, first, SwitchStatus.UNDONE)
    second = await customers.customer(world)

    stopped = await start(world.services, plan(plan_id="price_of_nothing"))

    assert stopped == "1 of 1 failed, more than 2%"
    assert await start(world.services, plan()) == stopped
    async with world.services.engine.begin() as conn:
        await cohorts.resume(conn, Provider.STRIPE)
    assert await start(world.services, plan()) is None
    await reached(world, second, SwitchStatus.OFFERED)


async def test_customers_who_let_it_pass_use_up_no_budget(own_world: World) -> None:
    world = own_world
    customer, other = await customers.customer(world), await customers.customer(world)
    assert await start(world.services, plan()) is None
    for each in (customer, other):
        await reached(world, each, SwitchStatus.OFFERED)
    await customers.time_is_over(world, customer)
    await reached(world, customer, SwitchStatus.ABANDONED)
    await customers.cancel(world, other)
    await reached(world, other, SwitchStatus.CANCELED)

    assert await start(world.services, plan(error_budget=0)) is None


async def test_the_api_starts_shows_and_lists_switches(own_world: World) -> None:
    world = own_world
    customer = await customers.customer(world)
    path = f"/v1/organizations/{customer.organization_id}/switch"
    body = {"provider": "stripe", "plan_id": DEFAULT_PRICE}
    body |= {"return_url": "https://host.test/moved", "cancel_url": "https://host.test/not"}

    before = await world.api.get(path)
    first = await world.api.post(path, json=body)
    again = await world.api.post(path, json=body)
    other = await world.api.post(path, json={**body, "plan_id": "price_other"})
    home = await world.api.post(path, json={**body, "provider": "paypal"})
    nobody = await world.api.post("/v1/organizations/nobody/switch", json=body)
    await reached(world, customer, SwitchStatus.OFFERED)
    shown = await world.api.get(path)
    listed = await world.api.get("/v1/switches", params={"status": "offered"})
    none = await world.api.get("/v1/switches", params={"status": "failed"})

    assert (before.status_code, first.status_code, again.status_code) == (404, 201, 200)
    assert (other.status_code, home.status_code, nobody.status_code) == (409, 409, 404)
    assert shown.json()["checkout_url"].startswith(world.stripe.url)
    assert shown.json()["source"] == {
        "provider": "paypal",
        "subscription_id": customer.subscription_id,
    }
    assert [each["id"] for each in listed.json()["data"]] == [first.json()["id"]]
    assert none.json() == {"data": [], "next_cursor": None}
