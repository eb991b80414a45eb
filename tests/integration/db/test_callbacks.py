"""Status callbacks: in any order and any number, a message ends the same, and what came back unsent is refunded."""

import asyncio
from dataclasses import replace
from itertools import permutations
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts, campaigns, messages
from db.callbacks import Applied, Told
from db.messages import Message
from db.settlements import Reply
from domain.campaign import CampaignStatus, MessageStatus, Next, Park
from domain.telephony import DeliveryStatus
from runtime.batches import Callbacks
from tests.builders import (
    ORGANIZATION,
    accepted,
    apply,
    balance,
    broken_claims,
    callback,
    campaign,
    campaign_now,
    change_campaign,
    given_back,
    hand_over,
    message_now,
    number,
    onboard,
    reserve,
    rows,
    send,
    send_one,
    settle_replies,
    sid_of,
    usd,
)

QUEUED, SENT, DELIVERED, READ = (
    DeliveryStatus.QUEUED,
    DeliveryStatus.SENT,
    DeliveryStatus.DELIVERED,
    DeliveryStatus.READ,
)
FAILED, UNDELIVERED = DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED


async def one_sent(engine: AsyncEngine) -> Message:
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    return message


@pytest.mark.parametrize("order", [*permutations([QUEUED, SENT, DELIVERED])])
async def test_every_order_of_queued_sent_delivered_ends_delivered(
    engine: AsyncEngine, order: tuple[DeliveryStatus, ...]
) -> None:
    message = await one_sent(engine)

    for status in order:
        await apply(engine, callback(message, status))

    assert (await message_now(engine, message)).delivery_status == DELIVERED
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("end", [DELIVERED, UNDELIVERED, FAILED])
@pytest.mark.parametrize("late", [QUEUED, SENT, DELIVERED, UNDELIVERED, FAILED])
async def test_the_first_end_stays(engine: AsyncEngine, end: DeliveryStatus, late: DeliveryStatus) -> None:
    message = await one_sent(engine)

    first = await apply(engine, callback(message, end))
    second = await apply(engine, callback(message, late))

    refunded = (Applied.GIVEN_BACK, Applied.TOO_LATE)
    assert (first, second) == (refunded if end is FAILED else (Applied.CHANGED, Applied.NOTHING_NEW))
    assert (await message_now(engine, message)).delivery_status == end


async def test_a_delivered_message_may_still_be_read(engine: AsyncEngine) -> None:
    message = await one_sent(engine)
    await apply(engine, callback(message, DELIVERED))

    assert await apply(engine, callback(message, READ)) is Applied.CHANGED
    assert await apply(engine, callback(message, DELIVERED)) is Applied.NOTHING_NEW


async def test_a_failure_keeps_its_code_and_its_debit(engine: AsyncEngine) -> None:
    message = await one_sent(engine)

    await apply(engine, callback(message, UNDELIVERED, error_code=30003))

    now = await message_now(engine, message)
    assert (now.status, now.error_code) == (MessageStatus.ACCEPTED, 30003)
    assert await balance(engine) == usd("9.99")


@pytest.mark.parametrize(
    ("status", "code", "refunded"),
    [
        (FAILED, 30008, True),
        (FAILED, None, True),
        (DeliveryStatus.CANCELED, None, True),
        (UNDELIVERED, 30003, False),
        (UNDELIVERED, None, False),
        (UNDELIVERED, 30036, True),
        (DELIVERED, None, False),
    ],
)
async def test_what_never_left_twilio_is_refunded_and_what_a_carrier_took_is_not(
    engine: AsyncEngine, status: DeliveryStatus, code: int | None, refunded: bool
) -> None:
    message = await one_sent(engine)

    for _ in range(2):
        await apply(engine, callback(message, status, error_code=code))

    expected = MessageStatus.REFUSED if refunded else MessageStatus.ACCEPTED
    assert (await message_now(engine, message)).status is expected
    assert await balance(engine) == usd("10.00" if refunded else "9.99")
    assert await broken_claims(engine) == set()


async def test_whoever_opted_out_is_remembered_once(engine: AsyncEngine) -> None:
    message = await one_sent(engine)

    for _ in range(2):
        await apply(engine, callback(message, FAILED, error_code=21610))

    [row] = await rows(engine, "SELECT organization_id, recipient FROM opt_outs")
    assert tuple(row) == (ORGANIZATION, message.recipient)


@pytest.mark.parametrize("seed", range(5))
async def test_callbacks_that_come_together_end_as_one_by_one(engine: AsyncEngine, seed: int) -> None:
    await onboard(engine)
    messages = await send(engine, await campaign(engine, messages=12))
    ends = [DELIVERED, FAILED, UNDELIVERED]
    told = [
        callback(message, status)
        for number_, message in enumerate(messages)
        for status in (QUEUED, SENT, SENT, ends[number_ % 3])
    ]
    Random(seed).shuffle(told)
    batches = Callbacks(engine)

    await asyncio.gather(*(batches.apply(Told(ORGANIZATION, one)) for one in told))

    now = [await message_now(engine, message) for message in messages]
    assert [one.delivery_status for one in now] == ends * 4
    assert await balance(engine) == usd("9.92")  # four of twelve were refunded
    assert await broken_claims(engine) == set()


async def test_one_that_cannot_be_written_does_not_take_the_others_with_it(engine: AsyncEngine) -> None:
    await onboard(engine)
    first, second = await send(engine, await campaign(engine, messages=2))
    batches = Callbacks(engine)
    unwritable = replace(callback(second, SENT), message_sid="SM\0", attempt_id=None)

    answers = await asyncio.gather(
        batches.apply(Told(ORGANIZATION, callback(first, SENT))),
        batches.apply(Told(ORGANIZATION, unwritable)),
        batches.apply(Told(ORGANIZATION, callback(second, DELIVERED))),
        return_exceptions=True,
    )

    assert isinstance(answers[1], Exception)
    assert (answers[0], answers[2]) == (Applied.CHANGED, Applied.CHANGED)


async def test_a_callback_that_overtakes_the_answer_settles_the_message(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))

    await apply(engine, callback(message, DELIVERED))
    settled = await settle_replies(engine, accepted(message))

    now = await message_now(engine, message)
    assert settled == 0
    assert (now.status, now.delivery_status, now.provider_sid) == (MessageStatus.ACCEPTED, DELIVERED, sid_of(message))


async def test_a_callback_settles_what_was_unknown(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await settle_replies(engine, Reply(message=message, status=MessageStatus.UNKNOWN))

    assert await apply(engine, callback(message, SENT)) is Applied.CHANGED
    assert (await message_now(engine, message)).status is MessageStatus.ACCEPTED
    assert await settle_replies(engine, Reply(message=message, status=MessageStatus.LOST)) == 0


async def test_a_callback_without_our_attempt_finds_the_message_by_twilios_id(engine: AsyncEngine) -> None:
    message = await one_sent(engine)

    assert await apply(engine, replace(callback(message), attempt_id=None)) is Applied.CHANGED
    assert await apply(engine, replace(callback(message, READ), attempt_id="rubbish")) is Applied.CHANGED


async def test_a_callback_about_another_message_changes_nothing(engine: AsyncEngine) -> None:
    message = await one_sent(engine)
    told = callback(message)

    answers = [
        await apply(engine, replace(told, attempt_id=f"{uuid4()}.1", message_sid="SMother")),
        await apply(engine, replace(told, message_sid="SMother")),
        await apply(engine, told, "somebody else"),
        await apply(engine, replace(told, status=None)),
    ]

    assert answers == [Applied.NOT_OURS, Applied.TOO_LATE, Applied.NOT_OURS, Applied.NOTHING_NEW]
    assert (await message_now(engine, message)).delivery_status == QUEUED


async def test_a_message_failed_by_the_suspension_is_given_back_and_refunded(engine: AsyncEngine) -> None:
    message = await one_sent(engine)

    answers = [await apply(engine, given_back(message)) for _ in range(3)]

    now = await message_now(engine, message)
    assert answers == [Applied.GIVEN_BACK, Applied.TOO_LATE, Applied.TOO_LATE]
    assert (now.status, now.provider_sid, now.error_code) == (MessageStatus.PENDING, None, 30002)
    assert await balance(engine) == usd("10")
    assert await number(engine, "SELECT count(*) FROM ledger_entries WHERE kind = 'refund'") == 1
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("end", [DELIVERED, UNDELIVERED])
async def test_what_has_ended_is_not_given_back(engine: AsyncEngine, end: DeliveryStatus) -> None:
    message = await one_sent(engine)
    await apply(engine, callback(message, end))

    assert await apply(engine, given_back(message)) is Applied.NOTHING_NEW
    assert (await message_now(engine, message)).status is MessageStatus.ACCEPTED
    assert await balance(engine) == usd("9.99")


async def test_what_was_given_back_is_sent_again_and_its_old_callbacks_are_too_late(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [first] = await send(engine, sending)
    await apply(engine, given_back(first))
    [second] = await hand_over(engine, sending)

    early = await apply(engine, given_back(first))
    await settle_replies(engine, accepted(second))
    late = [await apply(engine, given_back(first)), await apply(engine, callback(first, DELIVERED))]

    assert (early, late) == (Applied.TOO_LATE, [Applied.TOO_LATE, Applied.TOO_LATE])
    assert second.attempt_id == f"{first.id}.2"
    assert (await message_now(engine, second)).delivery_status == QUEUED
    assert await balance(engine) == usd("9.99")
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("before_its_answer", [True, False])
async def test_what_was_given_back_is_never_taken_for_its_next_attempt(
    engine: AsyncEngine, before_its_answer: bool
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [first] = await (hand_over if before_its_answer else send)(engine, sending)
    await apply(engine, given_back(first))
    await hand_over(engine, sending)

    async with engine.connect() as conn:
        assert await messages.sids_to(conn, ORGANIZATION, first.recipient) == {sid_of(first)}


async def test_a_completed_campaign_that_is_given_a_message_back_is_parked(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    first, _ = await send(engine, sending)
    assert (await reserve(engine, sending)).next is Next.DONE

    await apply(engine, given_back(first))

    now = await campaign_now(engine, sending)
    assert (now.status, now.reason) == (CampaignStatus.PARKED, Park.SUSPENDED)
    [change] = await rows(engine, "SELECT * FROM campaign_changes WHERE from_status = 'completed'")
    assert (change.by, change.position) == (campaigns.TOLLGATE, 1)


async def test_a_paused_campaign_that_is_given_a_message_back_stays_paused(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    first, _ = await send(engine, sending)
    await change_campaign(engine, sending, CampaignStatus.PAUSED, reason="asked")

    await apply(engine, given_back(first))

    assert (await campaign_now(engine, sending)).status is CampaignStatus.PAUSED


async def test_one_message_failed_by_the_suspension_is_refunded_and_ends(engine: AsyncEngine) -> None:
    await onboard(engine)
    message = await send_one(engine)
    await settle_replies(engine, accepted(message))

    assert await apply(engine, given_back(message)) is Applied.GIVEN_BACK
    assert (await message_now(engine, message)).status is MessageStatus.REFUSED
    assert await balance(engine) == usd("10")
    assert await broken_claims(engine) == set()


async def test_what_was_given_up_and_then_sent_after_all_is_an_alert(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await settle_replies(engine, Reply(message=message, status=MessageStatus.LOST))

    assert await apply(engine, callback(message, DELIVERED)) is Applied.TOO_LATE
    async with engine.connect() as conn:
        assert {one.kind for one in await alerts.standing(conn, ORGANIZATION)} == {"sent_after_refund"}
    assert await balance(engine) == usd("10")


async def test_what_was_given_up_and_failed_at_twilio_is_no_alert(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await settle_replies(engine, Reply(message=message, status=MessageStatus.LOST))

    assert await apply(engine, given_back(message)) is Applied.TOO_LATE
    async with engine.connect() as conn:
        assert await alerts.standing(conn, ORGANIZATION) == []
    assert await balance(engine) == usd("10")
