"""Forged callbacks, and callbacks in an order that Twilio never uses: in the end, Twilio's own
status counts.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.campaigns import status_checks, unpaid_sends
from db.campaigns.callbacks import Applied
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import DeliveryStatus
from tests.builders import (
    ORGANIZATION,
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
    rows,
    run,
    send,
    send_one,
    settle_replies,
    sid_of,
    usd,
)

SENT, DELIVERED, READ = DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.READ
FAILED, UNDELIVERED = DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED
INVENTED_SID = "SM" + "0" * 32
AN_HOUR = timedelta(hours=1)


async def sent_message(engine: AsyncEngine) -> Message:
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    return message


async def refused(engine: AsyncEngine) -> Message:
    """Twilio accepted it and it failed: refunded, and its sid is known."""
    message = await sent_message(engine)
    await give_back(engine, message, 30008)
    return message


async def given_up(engine: AsyncEngine) -> Message:
    """Handed over an hour ago, never confirmed, refunded: no sid is known."""
    await onboard(engine)
    message = await send_one(engine)
    await settle_replies(engine, Reply(message=message, status=MessageStatus.LOST))
    await run(engine, "UPDATE messages SET sending_at = sending_at - interval '1 hour'")
    return message


async def kinds(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as conn:
        return {alert.kind for alert in await alerts.standing(conn, ORGANIZATION)}


async def test_an_alert_by_a_made_up_sid_goes_when_twilio_does_not_know_that_sid(
    engine: AsyncEngine,
) -> None:
    message = await given_up(engine)
    await apply(engine, replace(callback(message, DELIVERED), message_sid=INVENTED_SID))
    raised = await kinds(engine)

    await read_at_twilio(engine, None)
    too_soon = await kinds(engine)
    await read_at_twilio(engine, None, now=datetime.now(UTC) + AN_HOUR)

    assert (raised, too_soon, await kinds(engine)) == (
        {"sent_after_refund"},
        {"sent_after_refund"},
        set(),
    )
    assert await checks(engine, now=datetime.now(UTC) + timedelta(days=9)) == []
    assert await balance(engine) == usd("10")


async def test_an_alert_by_the_sid_of_another_message_goes_when_that_is_read(
    engine: AsyncEngine,
) -> None:
    message = await given_up(engine)
    await apply(engine, replace(callback(message, DELIVERED), message_sid=INVENTED_SID))

    await read_at_twilio(engine, listed(message, DELIVERED, sid=INVENTED_SID, to="+442071838750"))

    assert await kinds(engine) == set()


async def test_an_alert_stays_while_another_callback_that_raised_it_is_still_to_be_read(
    engine: AsyncEngine,
) -> None:
    message = await given_up(engine)
    for sid in (INVENTED_SID, sid_of(message)):
        await apply(engine, replace(callback(message, DELIVERED), message_sid=sid))
    later = datetime.now(UTC) + AN_HOUR
    due = {check.message_sid: check for check in await checks(engine, now=later)}

    async with engine.begin() as conn:
        await status_checks.done(conn, ORGANIZATION, [due[INVENTED_SID]])
        await unpaid_sends.clear_alert(conn, ORGANIZATION)
    between = await kinds(engine)
    await read_at_twilio(engine, None, now=later + AN_HOUR)

    assert (between, await kinds(engine)) == ({"sent_after_refund"}, set())


async def test_a_message_that_vanished_at_twilio_is_left_to_a_person(engine: AsyncEngine) -> None:
    message = await refused(engine)
    await apply(engine, callback(message, DELIVERED))

    await read_at_twilio(engine, None, now=datetime.now(UTC) + AN_HOUR)

    assert await kinds(engine) == {"refund_unconfirmed"}


@pytest.mark.parametrize(
    ("forged", "genuine"),
    [(DELIVERED, UNDELIVERED), (UNDELIVERED, DELIVERED), (READ, UNDELIVERED), (UNDELIVERED, READ)],
)
async def test_twilio_decides_between_two_final_statuses(
    engine: AsyncEngine, forged: DeliveryStatus, genuine: DeliveryStatus
) -> None:
    message = await sent_message(engine)

    await apply(engine, callback(message, forged))
    await apply(engine, callback(message, genuine))
    await read_at_twilio(engine, listed(message, genuine))

    assert (await message_now(engine, message)).delivery_status == genuine
    assert await balance(engine) == usd("9.99")
    assert await broken_claims(engine) == set()


async def test_a_made_up_sid_hides_no_genuine_failure_of_what_twilio_did_not_confirm(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await settle_replies(engine, Reply(message=message, status=MessageStatus.UNKNOWN))
    await apply(engine, replace(callback(message, DELIVERED), message_sid=INVENTED_SID))

    answer = await apply(engine, callback(message, FAILED, error_code=30008))
    outcome = await read_at_twilio(engine, listed(message, FAILED, error_code=30008))

    assert (answer, outcome.look_up) == (Applied.TO_BE_READ, (message.id,))
    assert "callback_contradicted" not in await kinds(engine)


async def test_a_second_sid_for_one_message_is_an_alert_if_twilio_has_it(
    engine: AsyncEngine,
) -> None:
    message = await sent_message(engine)

    await apply(engine, replace(callback(message, DELIVERED), message_sid=INVENTED_SID))
    await read_at_twilio(engine, listed(message, DELIVERED, sid=INVENTED_SID))

    assert "callback_contradicted" in await kinds(engine)
    assert (await message_now(engine, message)).provider_sid == sid_of(message)


async def test_a_second_sid_that_twilio_does_not_have_changes_nothing(engine: AsyncEngine) -> None:
    message = await sent_message(engine)

    await apply(engine, replace(callback(message, DELIVERED), message_sid=INVENTED_SID))
    await read_at_twilio(engine, None, now=datetime.now(UTC) + AN_HOUR)
    await apply(engine, callback(message, DELIVERED))

    now = await message_now(engine, message)
    assert (await kinds(engine), now.delivery_status, now.provider_sid) == (
        set(),
        DELIVERED,
        sid_of(message),
    )


async def test_a_message_confirmed_only_by_a_callback_is_read_hours_later(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await settle_replies(engine, Reply(message=message, status=MessageStatus.UNKNOWN))
    await apply(engine, replace(callback(message, DELIVERED), message_sid=INVENTED_SID))
    await run(engine, "UPDATE messages SET sending_at = sending_at - interval '5 hours'")

    async with engine.begin() as conn:
        await status_checks.add_undecided(conn, now=datetime.now(UTC))
    outcome = await read_at_twilio(engine, None, now=datetime.now(UTC) + AN_HOUR)

    assert outcome.look_up == (message.id,)


@pytest.mark.parametrize("status", [SENT, DELIVERED])
async def test_an_intermediate_status_contradicts_no_callback(
    engine: AsyncEngine, status: DeliveryStatus
) -> None:
    """A second sid was read because its message was unclear; Twilio's answer to the hand-over came
    meanwhile.
    """
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await apply(engine, replace(callback(message, SENT), message_sid=INVENTED_SID))
    await apply(engine, callback(message, status))
    await settle_replies(
        engine,
        Reply(
            message=message,
            status=MessageStatus.ACCEPTED,
            provider_sid=sid_of(message),
            delivery_status="queued",
        ),
    )

    await read_at_twilio(engine, listed(message, READ))

    assert await kinds(engine) == set()
    assert (await message_now(engine, message)).delivery_status == READ


async def test_an_attempt_that_was_given_back_keeps_twilios_sid_and_not_a_made_up_one(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await apply(engine, replace(callback(message, SENT), message_sid=INVENTED_SID))

    back = Reply(
        message=message,
        status=MessageStatus.PENDING,
        provider_sid=sid_of(message),
        error_code=30002,
    )
    await settle_replies(engine, back)

    [attempt] = await rows(engine, "SELECT provider_sid FROM attempts")
    assert attempt.provider_sid == sid_of(message)
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize(
    ("status", "code"), [(DeliveryStatus.QUEUED, None), (FAILED, 30008), (UNDELIVERED, 30036)]
)
async def test_a_callback_that_does_not_report_an_earlier_attempt_as_sent_is_not_read(
    engine: AsyncEngine, status: DeliveryStatus, code: int | None
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [first] = await send(engine, sending)
    await give_back(engine, first)
    await hand_over(engine, sending)

    answer = await apply(engine, callback(first, status, error_code=code))

    assert (answer, await checks(engine)) == (Applied.TOO_LATE, [])


async def test_a_callback_of_a_future_attempt_is_not_read(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))

    answer = await apply(
        engine, replace(callback(message, DELIVERED), attempt_id=f"{message.id}.9")
    )

    assert (answer, await checks(engine)) == (Applied.TOO_LATE, [])


async def test_what_was_refunded_under_one_sid_is_not_said_to_be_sent_by_another(
    engine: AsyncEngine,
) -> None:
    message = await refused(engine)

    answer = await apply(engine, replace(callback(message, DELIVERED), message_sid=INVENTED_SID))

    assert (answer, await kinds(engine), await checks(engine)) == (Applied.TOO_LATE, set(), [])
