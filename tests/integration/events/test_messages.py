"""Ends of messages are told together, each once, and only while an endpoint asks for them."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import listed_statuses
from domain.campaigns.telephony import DeliveryStatus
from tests.builders import (
    ORGANIZATION,
    apply,
    callback,
    campaign,
    give_back,
    listed,
    onboard,
    read_at_twilio,
    run,
    send,
)
from tests.integration.events.telling import data_of, events_told

TYPES = ("message.delivered", "message.failed", "message.refunded")
UNREACHABLE = 30003


async def ask_for(engine: AsyncEngine, *types: str) -> None:
    await run(
        engine,
        "INSERT INTO webhook_endpoints (id, url, types) VALUES ('we_1', 'https://example.com', :types)",
        types=list(types),
    )


async def test_nothing_is_written_while_nobody_asks(engine: AsyncEngine) -> None:
    await ask_for(engine, "organization.suspended")
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    await apply(engine, callback(message))

    assert await events_told(engine, *TYPES) == []


async def test_a_delivery_is_told_once_however_often_it_is_reported(engine: AsyncEngine) -> None:
    await ask_for(engine, *TYPES)
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    for status in (DeliveryStatus.SENT, DeliveryStatus.DELIVERED) * 2 + (DeliveryStatus.READ,):
        await apply(engine, callback(message, status))

    assert await events_told(engine, *TYPES) == [
        ("message.delivered", {"message_ids": [str(message.id)]})
    ]


@pytest.mark.parametrize("by", ["callback", "list"])
async def test_a_message_that_does_not_arrive_is_told_as_failed(
    engine: AsyncEngine, by: str
) -> None:
    await ask_for(engine, *TYPES)
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    status = DeliveryStatus.UNDELIVERED
    for _ in range(2):
        if by == "callback":
            await apply(engine, callback(message, status, error_code=UNREACHABLE))
            continue
        async with engine.begin() as conn:
            sent = listed(message, status, error_code=UNREACHABLE)
            await listed_statuses.compare(conn, ORGANIZATION, [sent])

    assert await events_told(engine, *TYPES) == [
        ("message.failed", {"message_ids": [str(message.id)]})
    ]


async def test_a_contradicted_failure_is_told_as_twilio_has_it(engine: AsyncEngine) -> None:
    await ask_for(engine, *TYPES)
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    await apply(engine, callback(message, DeliveryStatus.FAILED, error_code=30007))
    await read_at_twilio(engine, listed(message))

    assert await events_told(engine, *TYPES) == [
        ("message.delivered", {"message_ids": [str(message.id)]})
    ]


async def test_a_refunded_message_is_told_once(engine: AsyncEngine) -> None:
    await ask_for(engine, *TYPES)
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    for _ in range(2):
        await give_back(engine, message, error_code=21610)

    assert await events_told(engine, *TYPES) == [
        ("message.refunded", {"message_ids": [str(message.id)]})
    ]


async def test_messages_of_one_list_are_told_together(engine: AsyncEngine) -> None:
    await ask_for(engine, *TYPES)
    await onboard(engine)
    messages = await send(engine, await campaign(engine, messages=3))
    async with engine.begin() as conn:
        await listed_statuses.compare(conn, ORGANIZATION, [listed(message) for message in messages])

    [data] = await data_of(engine, "message.delivered")
    assert set(data["message_ids"]) == {str(message.id) for message in messages}
