"""The campaign's lock: every decision about a campaign or its messages sees the earlier decisions."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import (
    campaigns,
    parked_campaigns,
    readings,
    runs,
    transitions,
    windows,
)
from db.campaigns.readings import Reading
from db.lifecycle import standings
from domain.campaigns.campaign import Act, CampaignStatus, MessageStatus, Next, Park
from domain.campaigns.telephony import DeliveryStatus
from tests.builders import (
    ORGANIZATION,
    apply,
    balance,
    broken_claims,
    campaign,
    campaign_now,
    checks,
    given_back,
    listed,
    onboard,
    reserve,
    run,
    send,
    shut_gate,
    statuses,
    until_it_waits_for,
    usd,
)


async def test_a_campaign_that_a_person_is_pausing_is_not_parked_over_it(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await shut_gate(engine)
    async with engine.begin() as conn:
        locked = await campaigns.lock(conn, ORGANIZATION, sending.id)
        assert locked is not None
        await transitions.change(conn, locked, Act.PAUSE, by=transitions.PERSON, reason="asked")
        task = asyncio.create_task(reserve(engine, sending))
        await until_it_waits_for(engine, conn, task)

    assert ((await task).next, (await campaign_now(engine, sending)).status) == (
        Next.STOP,
        CampaignStatus.PAUSED,
    )


async def test_a_campaign_does_not_complete_while_a_message_of_it_is_given_back(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [message] = await send(engine, sending)
    await apply(engine, given_back(message))
    [due] = await checks(engine)
    failed = Reading(check=due, sent=listed(message, DeliveryStatus.FAILED, error_code=30002))
    async with engine.begin() as conn:
        await readings.apply(conn, ORGANIZATION, [failed], now=datetime.now(UTC))
        task = asyncio.create_task(reserve(engine, sending))
        await until_it_waits_for(engine, conn, task)

    assert (await task).next is Next.SEND
    assert await statuses(engine, sending) == [MessageStatus.RESERVED]


async def test_messages_being_sent_are_not_released_with_the_rest(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=5)
    await reserve(engine, sending)
    async with engine.begin() as conn:
        window = await windows.next_window(
            conn, ORGANIZATION, sending.id, (), limit=2, now=datetime.now(UTC)
        )
        released = asyncio.create_task(_release(engine, sending))
        await until_it_waits_for(engine, conn, released)

    assert window is not None
    assert (len(window), await released) == (2, 3)
    assert (
        await statuses(engine, sending) == [MessageStatus.SENDING] * 2 + [MessageStatus.PENDING] * 3
    )
    assert await balance(engine) == usd("9.98")
    assert await broken_claims(engine) == set()


async def _release(engine: AsyncEngine, sending: campaigns.Campaign) -> int:
    async with engine.begin() as conn:
        return await windows.release(conn, ORGANIZATION, sending.id)


async def test_the_relay_and_a_suspension_do_not_deadlock_over_silent_campaigns(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    first, second = sorted(
        [await campaign(engine, name=f"c{n}") for n in range(2)], key=lambda each: each.id
    )
    await run(engine, "UPDATE campaigns SET heard_at = now() - interval '1 hour'")
    await run(
        engine,
        "UPDATE campaigns SET heard_at = now() - interval '2 hours' WHERE id = :id",
        id=second.id,
    )
    async with engine.begin() as conn:
        await standings.lock(conn, ORGANIZATION)
        await campaigns.lock(conn, ORGANIZATION, first.id)  # like parking, which locks by id
        marked = await _mark_silent(engine)
        await parked_campaigns.park_running(conn, ORGANIZATION, Park.SUSPENDED)

    assert marked == [(ORGANIZATION, second.id)]
    assert [(await campaign_now(engine, each)).status for each in (first, second)] == [
        CampaignStatus.PARKED
    ] * 2


async def test_a_silent_campaign_is_marked_once_for_all_relays(engine: AsyncEngine) -> None:
    await onboard(engine)
    silent = await campaign(engine)
    later = await campaign(engine, name="later", running=False)
    await run(
        engine, "UPDATE campaigns SET heard_at = now() - interval '1 hour' WHERE status = 'running'"
    )
    await run(
        engine,
        "UPDATE campaigns SET status = 'scheduled', scheduled_at = now() - interval '1 hour' WHERE id = :id",
        id=later.id,
    )

    assert set(await _mark_silent(engine)) == {(ORGANIZATION, silent.id), (ORGANIZATION, later.id)}
    assert await _mark_silent(engine) == []


async def _mark_silent(engine: AsyncEngine) -> list[tuple[str, UUID]]:
    async with engine.begin() as conn:
        return await runs.mark_silent(
            conn, before=datetime.now(UTC) - timedelta(minutes=2), limit=200
        )
