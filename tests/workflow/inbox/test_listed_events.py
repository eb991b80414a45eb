"""Events that a provider lists but never delivered are processed as if delivered; delivered ones
are counted.
"""

import json
import uuid
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.service import RPCError

from activities.inbox import event_backfill
from activities.inbox.event_backfill import Settled, Tally
from activities.workflow_contracts import RECONCILE_EVENTS
from db.inbox import listed_events
from domain.billing.subscription import Provider, State
from tests.workflow.crc import with_crc
from tests.workflow.stops import details
from tests.workflow.switching import customers
from tests.workflow.switching.customers import Customer
from tests.world import World, until

BOTH = pytest.mark.parametrize("provider", [Provider.PAYPAL, Provider.STRIPE])
LAPSE = {Provider.PAYPAL: "suspend", Provider.STRIPE: "give_up"}


@pytest_asyncio.fixture
async def own_world(idle_world: World) -> AsyncIterator[World]:
    """The test's own world, because it counts events."""
    idle_world.start_worker()
    yield idle_world


async def compare(world: World, provider: Provider) -> Tally:
    """Run the workflow once, up to this moment; returns its findings at the provider."""
    id_ = f"reconcile-events-{uuid.uuid4().hex}"
    found: list[Tally] = await world.services.client.execute_workflow(
        RECONCILE_EVENTS,
        Settled(seconds=-1),
        id=id_,
        task_queue=world.services.settings.lifecycle_task_queue,
        result_type=list[Tally],
    )
    assert provider.value in await details(world, id_)
    [tally] = [result for result in found if result.provider == provider.value]
    return tally


async def happens(world: World, customer: Customer, what: str, *, deliver: bool) -> list[str]:
    control = world.paypal_control if customer.source is Provider.PAYPAL else world.stripe_control
    path = f"/_sim/subscriptions/{customer.subscription_id}/{what}"
    answer = await control.post(path, json={"deliver": deliver})
    assert answer.is_success, answer.text
    return [each["id"] for each in answer.json()["events"]]


async def stored(world: World, event_id: str) -> list[tuple[str, int, str | None]]:
    query = text(
        "SELECT status, deliveries, transmission_id FROM inbox WHERE event_id LIKE :id || '%' ORDER BY id"
    )
    async with world.services.engine.connect() as conn:
        return [tuple(row) for row in await conn.execute(query, {"id": event_id})]


async def handled(world: World, event_ids: list[str]) -> None:
    async def all_of_them() -> bool:
        return all([await customers.delivered(world, event_id) for event_id in event_ids])

    await until(all_of_them, "every event handled")


async def payments(world: World, customer: Customer) -> int:
    query = text("SELECT count(*) FROM payments WHERE organization_id = :id")
    async with world.services.engine.connect() as conn:
        return int((await conn.execute(query, {"id": customer.organization_id})).scalar_one())


@BOTH
async def test_a_lost_suspension_is_taken_in_and_followed(
    own_world: World, provider: Provider
) -> None:
    world = own_world
    customer = await customers.customer(world, provider)
    await compare(world, provider)
    event_ids = await happens(world, customer, LAPSE[provider], deliver=False)

    tally = await compare(world, provider)

    assert tally.problem == ""
    assert tally.missed >= len(event_ids)
    await world.applied(customer.organization_id, "suspended")
    await handled(world, event_ids)
    assert (await compare(world, provider)).missed == 0
    await world.certify()


@BOTH
async def test_a_listed_event_opens_nothing_that_the_provider_does_not_confirm(
    own_world: World, provider: Provider
) -> None:
    """It is outdated by now: the fresh GET decides."""
    world = own_world
    customer = await customers.customer(world, provider)
    await happens(world, customer, LAPSE[provider], deliver=False)
    missed = await happens(world, customer, "pay", deliver=False)
    await happens(world, customer, LAPSE[provider], deliver=True)
    await world.applied(customer.organization_id, "suspended")

    assert (await compare(world, provider)).missed >= len(missed)

    await handled(world, missed)
    assert (await world.at_rest(customer.organization_id)).status == "suspended"
    assert not (await world.wallet(customer.organization_id)).gate_open
    assert (await customers.current(world, customer)).snapshot.state is State.SUSPENDED_NONPAYMENT
    await world.certify()


@BOTH
async def test_a_lost_payment_is_booked_once_no_matter_how_often_it_is_reported(
    own_world: World, provider: Provider
) -> None:
    world = own_world
    customer = await customers.customer(world, provider)
    await compare(world, provider)
    await world.at_rest(customer.organization_id)
    before = await payments(world, customer)
    event_ids = await happens(world, customer, "pay", deliver=False)

    await compare(world, provider)
    await handled(world, event_ids)
    customers.deliver(world, provider, event_ids)

    async def stored_beside() -> bool:
        return all([len(await stored(world, each)) == 2 for each in event_ids])

    await until(stored_beside, "the late deliveries, whose bytes are others than what was listed")
    await world.at_rest(customer.organization_id)
    assert (await compare(world, provider)).missed == 0
    assert await payments(world, customer) == before + 1
    await world.certify()


async def test_a_listed_event_is_processed_even_if_a_forgery_used_its_id(own_world: World) -> None:
    world = own_world
    customer, other = await customers.customer(world), await customers.customer(world)
    await compare(world, Provider.PAYPAL)
    [event_id] = await happens(world, customer, "suspend", deliver=False)
    [seen, *_] = await happens(world, other, "pay", deliver=False)
    headers, genuine = await world.sign(seen)
    forged = with_crc(
        {**json.loads(genuine), "id": event_id, "summary": "0000"}, zlib.crc32(genuine)
    )
    assert (
        await world.api.post("/webhooks/paypal", content=forged, headers=headers)
    ).status_code == 200

    tally = await compare(world, Provider.PAYPAL)

    assert tally.missed >= 2
    await world.applied(customer.organization_id, "suspended")


@BOTH
async def test_repeated_and_overtaken_deliveries_are_counted(
    own_world: World, provider: Provider
) -> None:
    world = own_world
    customer = await customers.customer(world, provider)
    first = await happens(world, customer, "fail_payment", deliver=False)
    await customers.another_second()
    second = await happens(world, customer, "pay", deliver=False)
    simulator = world.simulator(provider)
    for event_id in (second[-1], first[0], first[0], first[0]):
        simulator.deliveries.deliver_in_order([simulator.events.all[event_id]])
        await handled(world, [event_id])

    async def came(times: int) -> bool:
        return (await stored(world, first[0]))[0][1] == times

    await until(lambda: came(3), "three deliveries counted")

    tally = await compare(world, provider)
    customers.deliver(world, provider, first[:1])
    await until(lambda: came(4), "one more, long after it was compared")
    again = await compare(world, provider)

    assert (tally.duplicates, tally.out_of_order) == (2, 1)
    assert (again.duplicates, again.out_of_order) == (1, 0)


async def test_one_provider_s_failure_raises_an_alert_and_does_not_hold_up_the_other(
    own_world: World,
) -> None:
    world = own_world
    customer = await customers.customer(world, Provider.STRIPE)
    event_ids = await happens(world, customer, "give_up", deliver=False)
    before = datetime.now(UTC)
    fault = world.paypal.faults.add("503", path="/v1/notifications")

    broken = await compare(world, Provider.PAYPAL)
    world.paypal.faults.standing.remove(fault)
    again = await compare(world, Provider.PAYPAL)

    assert "503" in broken.problem
    assert (again.problem, again.since < before) == ("", True)
    await handled(world, event_ids)
    await world.applied(customer.organization_id, "suspended")


async def backlog(world: World, customer: Customer, hours: int) -> list[str]:
    """Undelivered events of each of the last hours; the last comparison is older than all of them."""
    simulator, now, found = world.simulator(customer.source), datetime.now(UTC), []
    for ago in range(hours, 0, -1):
        for event_id in await happens(world, customer, "pay", deliver=False):
            event = simulator.events.all[event_id]
            simulator.events.all[event_id] = replace(event, created=now - timedelta(hours=ago))
            found.append(event_id)
    async with world.services.engine.begin() as conn:
        await conn.execute(
            text("UPDATE listings SET listed_until = :until WHERE provider = :provider"),
            {"until": now - timedelta(hours=hours + 1), "provider": customer.source.value},
        )
    return found


@BOTH
async def test_a_comparison_that_is_cut_short_goes_on_where_it_came_to_and_ends(
    own_world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = own_world
    customer = await customers.customer(world, provider)
    await compare(world, provider)
    event_ids = await backlog(world, customer, hours=8)
    monkeypatch.setattr(event_backfill, "MOST_IN_SLICE", 2)
    settled, moment = Settled(seconds=-1), timedelta(0)

    first = await world.services.event_backfill.compare(provider, settled, longest=moment)
    fault = world.simulator(provider).faults.add("503", path="/v1/(notifications|events)")
    broken = await world.services.event_backfill.compare(provider, settled, longest=moment)
    world.simulator(provider).faults.standing.remove(fault)
    runs = [await world.services.event_backfill.compare(provider, settled, longest=moment)]
    while runs[-1].behind and len(runs) < 50:
        runs.append(await world.services.event_backfill.compare(provider, settled, longest=moment))

    assert first.behind
    assert (broken.problem != "", broken.since, broken.missed) == (True, first.until, 0)
    assert (runs[0].since, runs[-1].behind) == (first.until, False)
    assert len(runs) > 2
    assert all([len(await stored(world, each)) == 1 for each in event_ids])
    assert first.missed + sum(run.missed for run in runs) == len(event_ids)
    await handled(world, event_ids)
    await world.certify()


async def test_the_workflow_goes_on_until_nothing_is_left(
    own_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = own_world
    customer = await customers.customer(world)
    await compare(world, Provider.PAYPAL)
    event_ids = await backlog(world, customer, hours=4)
    monkeypatch.setattr(event_backfill, "MOST_IN_SLICE", 2)
    monkeypatch.setattr(event_backfill, "LONGEST_RUN", timedelta(0))

    tally = await compare(world, Provider.PAYPAL)

    assert (tally.behind, tally.missed, tally.problem) == (False, len(event_ids), "")
    await handled(world, event_ids)


async def test_an_event_on_its_way_is_not_missed_yet(own_world: World) -> None:
    world = own_world
    customer = await customers.customer(world)
    await happens(world, customer, "pay", deliver=False)

    tally = await world.services.event_backfill.compare(Provider.PAYPAL, Settled(seconds=120))

    assert tally.missed == 0


async def test_the_schedule_is_there_after_a_worker_s_start_and_runs_when_triggered(
    idle_world: World,
) -> None:
    world = idle_world
    schedule = world.services.client.get_schedule_handle("reconcile-events")
    with suppress(RPCError):  # there may be none yet
        await schedule.delete()
    world.start_worker()

    async def exists() -> bool:
        with suppress(RPCError):
            [interval] = (await schedule.describe()).schedule.spec.intervals
            return interval.every == timedelta(minutes=15)
        return False

    await until(exists, "the schedule")
    customer = await customers.customer(world)
    await happens(world, customer, "suspend", deliver=False)
    async with world.services.engine.begin() as conn:
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        await conn.execute(
            text("UPDATE listings SET listed_until = :until"), {"until": an_hour_ago}
        )
    await schedule.trigger()

    async def listed() -> bool:
        until_now = await world.read(lambda conn: listed_events.listed_until(conn, Provider.PAYPAL))
        return until_now is not None and until_now > datetime.now(UTC) - timedelta(minutes=5)

    await until(listed, "a listing")
    await schedule.delete()
