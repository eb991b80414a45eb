"""Messages in Twilio's lists: final statuses that no callback reported, and sends after a refund."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import listed_statuses
from db.campaigns import messages as stored
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import DeliveryStatus, SentMessage
from tests.builders import (
    ORGANIZATION,
    apply,
    balance,
    broken_claims,
    callback,
    campaign,
    checks,
    give_back,
    listed,
    message_now,
    onboard,
    read_at_twilio,
    send,
    usd,
)

DELIVERED, FAILED, SENT = DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.SENT


async def compare(engine: AsyncEngine, *sent: SentMessage) -> int:
    async with engine.begin() as conn:
        return await listed_statuses.compare(conn, ORGANIZATION, sent)


async def test_a_final_status_without_a_callback_is_taken_from_the_list(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    first, second, other = await send(engine, await campaign(engine, messages=3))
    await apply(engine, callback(second, DELIVERED))
    failed = listed(other, DeliveryStatus.UNDELIVERED, error_code=30003)

    differing = await compare(engine, listed(first), listed(second, SENT), failed)

    now = [await message_now(engine, message) for message in (first, second, other)]
    assert [message.delivery_status for message in now] == [
        DELIVERED,
        DELIVERED,
        DeliveryStatus.UNDELIVERED,
    ]
    assert (differing, now[2].error_code, await balance(engine)) == (2, 30003, usd("9.97"))


@pytest.mark.parametrize("forged", [DELIVERED, DeliveryStatus.READ])
async def test_an_end_that_a_callback_made_up_is_corrected_by_the_list(
    engine: AsyncEngine, forged: DeliveryStatus
) -> None:
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    await apply(engine, callback(message, forged))

    differing = await compare(engine, listed(message, DeliveryStatus.UNDELIVERED, error_code=30003))

    now = await message_now(engine, message)
    assert (differing, now.delivery_status, now.error_code) == (
        1,
        DeliveryStatus.UNDELIVERED,
        30003,
    )


async def test_a_failure_without_a_callback_is_read_and_refunded(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    failed = listed(message, FAILED, error_code=30008)

    await compare(engine, failed)
    before = await balance(engine)
    await read_at_twilio(engine, failed)

    assert (before, await balance(engine)) == (usd("9.99"), usd("10"))
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("error_code", [30008, 30002])
async def test_a_refunded_message_listed_as_sent_is_read_once(
    engine: AsyncEngine, error_code: int
) -> None:
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    await give_back(engine, message, error_code)

    await compare(engine, listed(message))
    await read_at_twilio(engine, listed(message))
    await compare(engine, listed(message))

    assert await checks(engine) == []
    expected = MessageStatus.LOST if error_code == 30002 else MessageStatus.REFUSED
    assert (await message_now(engine, message)).status is expected


async def test_a_message_that_somebody_holds_is_not_waited_for(engine: AsyncEngine) -> None:
    await onboard(engine)
    locked_message, free = await send(engine, await campaign(engine, messages=2))
    async with engine.begin() as conn:
        await stored.lock(conn, ORGANIZATION, [locked_message.id])
        await compare(engine, listed(locked_message), listed(free))

    assert (await message_now(engine, free)).delivery_status == DELIVERED
    assert (await message_now(engine, locked_message)).delivery_status == DeliveryStatus.QUEUED
