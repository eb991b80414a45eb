"""Callbacks around refunds: Twilio decides the attempt of a callback, and only a send that is
unpaid can be charged.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.campaigns import resends, unpaid_sends
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from domain.campaigns.campaign import MessageStatus, Next
from domain.campaigns.telephony import DeliveryStatus
from domain.wallet.ledger import Debited
from tests.builders import (
    ORGANIZATION,
    accepted,
    apply,
    balance,
    broken_claims,
    callback,
    campaign,
    checks,
    give_back,
    hand_over,
    listed,
    message_now,
    onboard,
    read_at_twilio,
    reserve,
    run,
    send,
    send_one,
    settle_replies,
    sid_of,
    usd,
)

SENT, DELIVERED, FAILED = DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.FAILED
AN_HOUR = timedelta(hours=1)


async def sent_message(engine: AsyncEngine) -> Message:
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    return message


async def given_up(engine: AsyncEngine) -> Message:
    """Handed over an hour ago, not confirmed, refunded."""
    await onboard(engine)
    message = await send_one(engine)
    await settle_replies(engine, Reply(message=message, status=MessageStatus.LOST))
    await run(engine, "UPDATE messages SET sending_at = sending_at - interval '1 hour'")
    return message


async def sent_once_more(engine: AsyncEngine, message: Message) -> Message:
    async with engine.begin() as conn:
        again, _ = await resends.by_itself(conn, await message_now(engine, message))
    assert again is not None
    return again


async def charge(engine: AsyncEngine, message: Message) -> None:
    async with engine.begin() as conn:
        _, outcome = await unpaid_sends.charge(conn, ORGANIZATION, message.id)
        assert isinstance(outcome, Debited)


async def unpaid(engine: AsyncEngine) -> list[tuple[UUID, int]]:
    async with engine.connect() as conn:
        return [
            (unpaid_send.message_id, unpaid_send.attempt)
            for unpaid_send in await unpaid_sends.open_ones(conn, ORGANIZATION, limit=9)
        ]


async def kinds(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as conn:
        return {alert.kind for alert in await alerts.standing(conn, ORGANIZATION)}


@pytest.mark.parametrize(
    "attempt",
    ["9", "0", "1", "x", "²", "9" * 5000],
    ids=["9", "0", "1", "x", "superscript", "long"],
)
async def test_a_paid_message_is_not_unpaid_whatever_attempt_a_callback_names(
    engine: AsyncEngine, attempt: str
) -> None:
    message = await sent_message(engine)

    await apply(engine, replace(callback(message, FAILED), attempt_id=f"{message.id}.{attempt}"))
    await read_at_twilio(engine, listed(message, DELIVERED))

    assert (await unpaid(engine), await kinds(engine)) == ([], {"callback_contradicted"})
    assert await balance(engine) == usd("9.99")


async def test_a_failure_is_refunded_whatever_attempt_a_callback_names(engine: AsyncEngine) -> None:
    message = await sent_message(engine)

    await apply(engine, replace(callback(message, FAILED), attempt_id=f"{message.id}.9"))
    await read_at_twilio(engine, listed(message, FAILED, error_code=30008))

    assert await balance(engine) == usd("10")
    assert await broken_claims(engine) == set()


async def test_a_callback_that_calls_the_paid_attempt_an_earlier_one_makes_nothing_unpaid(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [first] = await send(engine, sending)
    await give_back(engine, first)
    [second] = await hand_over(engine, sending)
    await apply(engine, replace(callback(second, DELIVERED), attempt_id=first.attempt_id))

    await settle_replies(engine, accepted(second))
    await read_at_twilio(engine, listed(second, DELIVERED))

    assert await unpaid(engine) == []
    assert await balance(engine) == usd("9.99")


async def test_a_resent_message_can_be_charged_when_its_abandoned_first_attempt_arrives(
    engine: AsyncEngine,
) -> None:
    first = await given_up(engine)
    again = await sent_once_more(engine, first)
    await settle_replies(engine, accepted(again))

    await apply(engine, callback(first, DELIVERED))
    await read_at_twilio(engine, listed(first, DELIVERED, created_at=datetime.now(UTC) - AN_HOUR))

    assert (await unpaid(engine), await kinds(engine)) == ([(first.id, 1)], {"sent_after_refund"})
    assert (await message_now(engine, again)).provider_sid == sid_of(again)
    await charge(engine, first)
    assert await balance(engine) == usd("9.98")


async def test_the_second_attempt_is_not_taken_for_the_first_that_was_given_up(
    engine: AsyncEngine,
) -> None:
    first = await given_up(engine)
    again = await sent_once_more(engine, first)

    await apply(engine, replace(callback(again, DELIVERED), attempt_id=first.attempt_id))
    await read_at_twilio(engine, listed(again, DELIVERED))

    assert await unpaid(engine) == []


@pytest.mark.parametrize("opted_out", [False, True])
async def test_a_message_delivered_while_it_waits_to_be_resent_or_is_skipped_is_an_alert(
    engine: AsyncEngine, opted_out: bool
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [message] = await hand_over(engine, sending)
    await settle_replies(engine, Reply(message=message, status=MessageStatus.LOST))
    async with engine.begin() as conn:
        await resends.in_its_campaign(conn, await message_now(engine, message), sending.id)
    if opted_out:
        await run(
            engine, "INSERT INTO opt_outs VALUES (:of, :to)", of=ORGANIZATION, to=message.recipient
        )
        await reserve(engine, sending)
        assert (await message_now(engine, message)).status is MessageStatus.SKIPPED

    await apply(engine, callback(message, DELIVERED))
    await read_at_twilio(engine, listed(message, DELIVERED))

    assert (await unpaid(engine), await kinds(engine)) == ([(message.id, 1)], {"sent_after_refund"})
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("by", ["an operator", "Twilio"])
async def test_a_message_that_arrives_before_its_resend_is_not_resent(
    engine: AsyncEngine, by: str
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    message, _ = await send(engine, sending)
    if by == "Twilio":
        await give_back(engine, message)
    else:
        await run(
            engine,
            "UPDATE messages SET status = 'unknown', provider_sid = NULL WHERE id = :id",
            id=message.id,
        )
        await settle_replies(engine, Reply(message=message, status=MessageStatus.LOST))
        async with engine.begin() as conn:
            await resends.in_its_campaign(conn, await message_now(engine, message), sending.id)
    assert (await message_now(engine, message)).status is MessageStatus.PENDING

    await apply(engine, callback(message, DELIVERED))
    await read_at_twilio(engine, listed(message, DELIVERED))

    assert (await reserve(engine, sending)).next is Next.DONE
    now = await message_now(engine, message)
    assert (now.status, now.delivery_status, now.provider_sid) == (
        MessageStatus.LOST,
        DELIVERED,
        sid_of(message),
    )
    assert await unpaid(engine) == [(message.id, 1)]
    assert await broken_claims(engine) == set()
    await charge(engine, message)
    assert await balance(engine) == usd("9.98")
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("charged", [False, True])
async def test_a_message_found_to_be_sent_is_not_resent(engine: AsyncEngine, charged: bool) -> None:
    message = await given_up(engine)
    await apply(engine, callback(message, DELIVERED))
    await read_at_twilio(engine, listed(message, DELIVERED))
    if charged:
        await charge(engine, message)

    with pytest.raises(resends.NotLost):
        await sent_once_more(engine, message)


async def test_callbacks_that_come_after_the_charge_raise_no_alert_that_stays(
    engine: AsyncEngine,
) -> None:
    message = await sent_message(engine)
    await give_back(engine, message, 30008)
    await apply(engine, callback(message, SENT))
    await read_at_twilio(engine, listed(message, SENT))
    await charge(engine, message)

    await apply(engine, callback(message, SENT))
    repeated, due = await kinds(engine), await checks(engine)
    await apply(engine, callback(message, DELIVERED))
    await read_at_twilio(engine, listed(message, DELIVERED))
    await apply(engine, callback(message, DELIVERED))

    assert (repeated, due) == (set(), [])
    assert (await kinds(engine), await unpaid(engine)) == (set(), [])
    assert await balance(engine) == usd("9.99")
