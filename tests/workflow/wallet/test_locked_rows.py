"""A lock on one organization, however long it lasts, does not delay the work of other
organizations.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
from sqlalchemy.exc import DBAPIError
from temporalio.testing import ActivityEnvironment

from activities.campaigns.batch_sender import BatchOf
from activities.inbox.event_backfill import Settled
from db.lifecycle import standings
from db.wallet import wallets
from domain.audit.reconciliation import Subject
from domain.billing.subscription import Provider
from tests.builders import number, run
from tests.workflow.audit.test_reconcile import step_through
from tests.workflow.stops import messages_path
from tests.world import LIMIT, World, until

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
    "current_database()"
)
MESSAGE = {"to": "+14155550100", "body": "hello"}


async def send(world: World, organization_id: str, key: str) -> int:
    path = f"/v1/organizations/{organization_id}/messages"
    answer = await world.api.post(path, json=MESSAGE, headers={"idempotency-key": key})
    return answer.status_code


async def some_wait(world: World) -> bool:
    return await number(world.services.engine, WAITING) > 0


async def test_requests_that_wait_for_one_wallet_leave_connections_for_every_other(
    idle_world: World,
) -> None:
    locked, _ = await idle_world.organization()
    free, _ = await idle_world.organization()
    async with idle_world.services.engine.begin() as conn:
        await wallets.lock(conn, locked)
        waiting = [asyncio.create_task(send(idle_world, locked, f"k{n}")) for n in range(40)]
        await until(lambda: some_wait(idle_world), "requests that wait")

        answers = await asyncio.gather(*(send(idle_world, free, f"k{n}") for n in range(20)))
        still = [task for task in waiting if not task.done()]

    assert answers == [201] * 20
    assert len(still) == 40
    assert {status in (201, 503) for status in await asyncio.gather(*waiting)} == {True}


async def test_batches_that_wait_for_one_wallet_leave_connections_for_every_other(
    idle_world: World,
) -> None:
    sending = idle_world.services.sending
    both = [(await idle_world.organization())[0] for _ in range(2)]
    campaigns = [
        await idle_world.campaign(organization_id, recipients=1) for organization_id in both
    ]
    locked, free = (
        BatchOf(organization_id=of, campaign_id=id_)
        for of, id_ in zip(both, campaigns, strict=True)
    )
    async with idle_world.services.engine.begin() as conn:
        await wallets.lock(conn, locked.organization_id)
        waiting = [
            asyncio.create_task(ActivityEnvironment().run(sending.reserve_batch, locked))
            for _ in range(40)
        ]
        await until(lambda: some_wait(idle_world), "batches that wait")

        batch = await ActivityEnvironment().run(sending.reserve_batch, free)
        still = [task for task in waiting if not task.done()]

    assert batch.reserved == 1
    assert len(still) == 40
    assert [reserved_batch.reserved for reserved_batch in await asyncio.gather(*waiting)] == [
        1
    ] * 40
    assert (await idle_world.wallet(locked.organization_id)).balance_micros == 9_990_000


async def unknown(world: World) -> str:
    """An organization with a message that Twilio did not confirm, two minutes ago."""
    organization_id, _ = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add("500", method="POST", path=path, times=1)
    await send(world, organization_id, "k")
    query = (
        "UPDATE messages SET sending_at = sending_at - interval '2 hours' WHERE organization_id = "
        ":of"
    )
    await run(world.services.engine, query, of=organization_id)
    return organization_id


async def test_look_ups_go_on_past_a_wallet_that_somebody_holds(idle_world: World) -> None:
    built = idle_world.services
    locked, free = await unknown(idle_world), await unknown(idle_world)
    async with built.engine.begin() as conn:
        await wallets.lock(conn, locked)
        settled = await step_through(idle_world, Subject.MESSAGES)

    lost = "SELECT count(*) FROM messages WHERE status = 'lost' AND organization_id = :of"
    assert settled.differing == 1
    assert [
        await number(built.engine, lost, of=organization_id) for organization_id in (locked, free)
    ] == [0, 1]


async def test_the_reconciliation_goes_on_past_a_standing_that_somebody_holds(
    idle_world: World,
) -> None:
    built = idle_world.services
    both = [(await idle_world.organization())[0] for _ in range(2)]
    for organization_id in both:
        path = f"/_sim/accounts/{await idle_world.account_sid(organization_id)}/status"
        await idle_world.twilio_control.post(path, json={"status": "suspended"})
        applied = "UPDATE standings SET applied_epoch = epoch WHERE organization_id = :of"
        await run(built.engine, applied, of=organization_id)
    async with built.engine.begin() as conn:
        await standings.lock(conn, both[0])
        compared = await step_through(idle_world, Subject.TWILIO)

    assert (compared.compared, compared.differing) == (2, 1)
    assert not (await idle_world.wallet(both[1])).gate_open


async def test_refunds_go_on_past_a_wallet_that_somebody_holds(idle_world: World) -> None:
    world, built = idle_world, idle_world.services
    world.twilio.state.fail_to["+14155550100"] = ("failed", 30008)
    both = [(await world.organization())[0] for _ in range(2)]
    for organization_id in both:
        assert await send(world, organization_id, "k") == 201
    query = "SELECT count(*) FROM status_checks"

    async def both_stored() -> bool:
        return await number(built.engine, query) == 2

    await until(both_stored, "both callbacks")
    async with built.engine.begin() as conn:
        await wallets.lock(conn, both[0])
        await built.checking.check(now=datetime.now(UTC) + timedelta(seconds=1))
        balances = [
            (await world.wallet(organization_id)).balance_micros for organization_id in both
        ]
    await built.checking.check(now=datetime.now(UTC) + timedelta(minutes=1))

    assert balances == [9_990_000, 10_000_000]
    assert (await world.wallet(both[0])).balance_micros == 10_000_000


async def test_listed_events_of_a_locked_organization_do_not_hold_up_those_of_others(
    idle_world: World,
) -> None:
    world, built = idle_world, idle_world.services
    both = [await world.organization() for _ in range(2)]
    for _, subscription_id in both:
        await world.happen(f"subscriptions/{subscription_id}/suspend")

    async def shut(organization_id: str) -> bool:
        """Each change has its own second, so the second one may be listed a moment later."""
        with suppress(DBAPIError):
            await built.event_backfill.compare(Provider.PAYPAL, Settled(seconds=0))
        return not (await world.wallet(organization_id)).gate_open

    async with built.engine.begin() as conn:
        await standings.lock(conn, both[0][0])
        await until(partial(shut, both[1][0]), "the event of the other organization")
        still_open = (await world.wallet(both[0][0])).gate_open
    await until(partial(shut, both[0][0]), "the event of the one that was held")

    assert still_open


async def test_one_organization_s_webhooks_leave_connections_for_every_other_s(
    idle_world: World,
) -> None:
    world, engine = idle_world, idle_world.services.engine
    locked, flooding_id = await world.organization()
    others = [await world.organization() for _ in range(3)]
    flood = [
        event_id
        for _ in range(65)
        for action in ("suspend", "activate")
        for event_id in await world.happen(f"subscriptions/{flooding_id}/{action}")
    ]
    news = [
        (await world.happen(f"subscriptions/{subscription_id}/suspend"))[0]
        for _, subscription_id in others
    ]
    signed = {event_id: await world.sign(event_id) for event_id in (*flood, *news)}
    limits = httpx.Limits(
        max_connections=None
    )  # otherwise the client itself would delay the others
    async with httpx.AsyncClient(
        base_url=world.api.base_url, timeout=LIMIT, limits=limits
    ) as client:

        async def deliver(event_id: str) -> int:
            headers, raw = signed[event_id]
            return (await client.post("/webhooks/paypal", content=raw, headers=headers)).status_code

        async with engine.begin() as conn:
            await standings.lock(conn, locked)
            waiting = [asyncio.create_task(deliver(event_id)) for event_id in flood]

            async def too_many() -> bool:
                return any(task.done() for task in waiting)

            await until(too_many, "a delivery that is asked to retry")
            answers = await asyncio.gather(*(deliver(event_id) for event_id in news))
            still = [task for task in waiting if not task.done()]

        first = await asyncio.gather(*waiting)
        again = [
            await deliver(event_id)
            for event_id, status in zip(flood, first, strict=True)
            if status != 200
        ]
    stored = await number(
        engine,
        "SELECT count(*) FROM inbox WHERE organization_id = :of AND folded_at IS NOT NULL",
        of=locked,
    )
    assert answers == [200] * 3
    assert len(still) > 80
    assert set(first) == {200, 503}
    assert set(again) == {200}
    assert stored == len(flood)
