"""The campaign's lock: who decides about a campaign, or about messages of it, sees what was decided before."""

import asyncio
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from db import callbacks, campaigns, reservations
from db.callbacks import Told
from domain.campaign import CampaignStatus, MessageStatus, Next
from tests.builders import (
    ORGANIZATION,
    balance,
    broken_claims,
    campaign,
    campaign_now,
    given_back,
    onboard,
    reserve,
    send,
    shut_gate,
    statuses,
    until_it_waits_for,
    usd,
)


async def test_a_campaign_that_a_person_is_pausing_is_not_parked_over_it(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await shut_gate(engine)
    async with engine.begin() as conn:
        held = await campaigns.lock(conn, ORGANIZATION, sending.id)
        assert held is not None
        await campaigns.change(conn, held, CampaignStatus.PAUSED, by=campaigns.PERSON, reason="asked")
        asked = asyncio.create_task(reserve(engine, sending))
        await until_it_waits_for(engine, conn, asked)

    assert ((await asked).next, (await campaign_now(engine, sending)).status) == (Next.STOP, CampaignStatus.PAUSED)


async def test_a_campaign_does_not_complete_while_a_message_of_it_is_given_back(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [message] = await send(engine, sending)
    async with engine.begin() as conn:
        await callbacks.give_back(conn, ORGANIZATION, [Told(ORGANIZATION, given_back(message))])
        asked = asyncio.create_task(reserve(engine, sending))
        await until_it_waits_for(engine, conn, asked)

    assert (await asked).next is Next.SEND
    assert await statuses(engine, sending) == [MessageStatus.RESERVED]


async def test_what_is_being_handed_over_is_not_released_with_the_rest(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=5)
    await reserve(engine, sending)
    async with engine.begin() as conn:
        window = await reservations.next_window(conn, ORGANIZATION, sending.id, (), limit=2, now=datetime.now(UTC))
        released = asyncio.create_task(_release(engine, sending))
        await until_it_waits_for(engine, conn, released)

    assert window is not None
    assert (len(window), await released) == (2, 3)
    assert await statuses(engine, sending) == [MessageStatus.SENDING] * 2 + [MessageStatus.PENDING] * 3
    assert await balance(engine) == usd("9.98")
    assert await broken_claims(engine) == set()


async def _release(engine: AsyncEngine, sending: campaigns.Campaign) -> int:
    async with engine.begin() as conn:
        return await reservations.release(conn, ORGANIZATION, sending.id)
