"""Status callbacks: in any order and number, a message ends the same, and a message returned unsent
is refunded.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.campaigns import messages as stored
from db.campaigns import status_checks, transitions, unpaid_sends
from db.campaigns.callbacks import Applied, SubaccountCallback
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from db.wallet import wallets
from domain.campaigns.campaign import Act, CampaignStatus, MessageStatus, Next, Park
from domain.campaigns.telephony import DeliveryStatus
from domain.wallet.ledger import Debited, Suspended
from runtime.callback_batcher import Callbacks
from runtime.coalescer import Overloaded
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
    checks,
    give_back,
    given_back,
    hand_over,
    listed,
    message_now,
    number,
    onboard,
    read_at_twilio,
    reserve,
    rows,
    run,
    send,
    send_one,
    settle_replies,
    shut_gate,
    sid_of,
    usd,
)
from tests.soak import seeds

QUEUED, SENT, DELIVERED, READ = (
    DeliveryStatus.QUEUED,
    DeliveryStatus.SENT,
    DeliveryStatus.DELIVERED,
    DeliveryStatus.READ,
)
FAILED, UNDELIVERED = DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED


async def sent_message(engine: AsyncEngine) -> Message:
    await onboard(engine)
    [message] = await send(engine, await campaign(engine, messages=1))
    return message


@pytest.mark.parametrize("order", [*permutations([QUEUED, SENT, DELIVERED])])
async def test_every_order_of_queued_sent_delivered_ends_delivered(
    engine: AsyncEngine, order: tuple[DeliveryStatus, ...]
) -> None:
    message = await sent_message(engine)

    for status in order:
        await apply(engine, callback(message, status))

    assert (await message_now(engine, message)).delivery_status == DELIVERED
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("end", [DELIVERED, UNDELIVERED])
@pytest.mark.parametrize("late", [QUEUED, SENT, DELIVERED, UNDELIVERED, FAILED])
async def test_the_first_end_stays_unless_twilio_says_otherwise_when_it_is_read(
    engine: AsyncEngine, end: DeliveryStatus, late: DeliveryStatus
) -> None:
    message = await sent_message(engine)

    first = await apply(engine, callback(message, end))
    second = await apply(engine, callback(message, late))

    other_end = late in (DELIVERED, UNDELIVERED, FAILED) and late is not end
    assert (first, second) == (
        Applied.CHANGED,
        Applied.TO_BE_READ if other_end else Applied.NOTHING_NEW,
    )
    assert (await message_now(engine, message)).delivery_status == end


async def test_a_delivered_message_may_still_be_read(engine: AsyncEngine) -> None:
    message = await sent_message(engine)
    await apply(engine, callback(message, DELIVERED))

    assert await apply(engine, callback(message, READ)) is Applied.CHANGED
    assert await apply(engine, callback(message, DELIVERED)) is Applied.NOTHING_NEW


async def test_a_failure_keeps_its_code_and_its_debit(engine: AsyncEngine) -> None:
    message = await sent_message(engine)

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
async def test_messages_that_never_left_twilio_are_refunded_and_those_carriers_took_are_not(
    engine: AsyncEngine, status: DeliveryStatus, code: int | None, refunded: bool
) -> None:
    message = await sent_message(engine)

    for _ in range(2):
        if await apply(engine, callback(message, status, error_code=code)) is Applied.TO_BE_READ:
            await read_at_twilio(engine, listed(message, status, error_code=code))

    expected = MessageStatus.REFUSED if refunded else MessageStatus.ACCEPTED
    assert (await message_now(engine, message)).status is expected
    assert await balance(engine) == usd("10.00" if refunded else "9.99")
    assert await broken_claims(engine) == set()


async def test_an_opt_out_is_stored_once(engine: AsyncEngine) -> None:
    message = await sent_message(engine)

    for _ in range(2):
        await give_back(engine, message, 21610)

    [row] = await rows(engine, "SELECT organization_id, recipient FROM opt_outs")
    assert tuple(row) == (ORGANIZATION, message.recipient)


@pytest.mark.parametrize("seed", seeds(5, soaking=100))
async def test_callbacks_that_come_together_end_as_one_by_one(
    engine: AsyncEngine, seed: int
) -> None:
    await onboard(engine)
    messages = await send(engine, await campaign(engine, messages=12))
    ends = [DELIVERED, FAILED, UNDELIVERED]
    callbacks = [
        callback(message, status)
        for number_, message in enumerate(messages)
        for status in (QUEUED, SENT, SENT, ends[number_ % 3])
    ]
    Random(seed).shuffle(callbacks)
    batches = Callbacks(engine)

    await asyncio.gather(
        *(
            batches.apply(SubaccountCallback(ORGANIZATION, status_callback))
            for status_callback in callbacks
        )
    )
    await read_at_twilio(engine, *(listed(message, FAILED) for message in messages))

    now = [await message_now(engine, message) for message in messages]
    assert [message.delivery_status for message in now] == ends * 4
    assert await balance(engine) == usd("9.92")  # four of twelve were refunded
    assert await broken_claims(engine) == set()


async def test_a_callback_that_cannot_be_written_does_not_fail_the_others(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    first, second = await send(engine, await campaign(engine, messages=2))
    batches = Callbacks(engine)
    unwritable = replace(callback(second, SENT), message_sid="SM\0", attempt_id=None)

    answers = await asyncio.gather(
        batches.apply(SubaccountCallback(ORGANIZATION, callback(first, SENT))),
        batches.apply(SubaccountCallback(ORGANIZATION, unwritable)),
        batches.apply(SubaccountCallback(ORGANIZATION, callback(second, DELIVERED))),
        return_exceptions=True,
    )

    assert isinstance(answers[1], Exception)
    assert (answers[0], answers[2]) == (Applied.CHANGED, Applied.CHANGED)


@pytest.mark.parametrize("what", ["its wallet", "its message"])
async def test_rows_locked_for_one_organization_do_not_hold_up_callbacks_of_others(
    engine: AsyncEngine, what: str
) -> None:
    for name in ("held", "free"):
        await onboard(engine, name)
    locked_messages = await send(
        engine, await campaign(engine, messages=20, organization_id="held")
    )
    free = await send(engine, await campaign(engine, messages=20, organization_id="free"))
    batches = Callbacks(engine)
    async with engine.begin() as conn:
        if what == "its wallet":
            await wallets.lock(conn, "held")
        else:
            await stored.lock(conn, "held", [message.id for message in locked_messages])
        late = [
            asyncio.create_task(batches.apply(SubaccountCallback("held", given_back(message))))
            for message in locked_messages
        ]
        callbacks = [callback(message, SENT) for message in free] + [
            given_back(message) for message in free
        ]
        answers = await asyncio.gather(
            *(
                batches.apply(SubaccountCallback("free", status_callback))
                for status_callback in callbacks
            )
        )
        waiting = [task for task in late if not task.done()]

    assert answers == [Applied.CHANGED] * 20 + [Applied.TO_BE_READ] * 20
    assert len(waiting) == (20 if what == "its message" else 0)
    assert set(await asyncio.gather(*late)) == {Applied.TO_BE_READ}
    await batches.close()


async def test_callbacks_for_a_row_locked_too_long_are_asked_to_retry_and_the_next_are_taken(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.callback_batcher.PATIENCE", 0.0)
    message = await sent_message(engine)
    batches = Callbacks(engine)
    async with engine.begin() as conn:
        await stored.lock(conn, ORGANIZATION, [message.id])
        with pytest.raises(Overloaded):
            await batches.apply(SubaccountCallback(ORGANIZATION, callback(message)))
    await batches.close()

    assert (
        await batches.apply(SubaccountCallback(ORGANIZATION, callback(message))) is Applied.CHANGED
    )


async def test_a_callback_that_overtakes_the_answer_settles_the_message(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))

    await apply(engine, callback(message, DELIVERED))
    on_trust = (await message_now(engine, message)).sid_confirmed
    settled = await settle_replies(engine, accepted(message))

    now = await message_now(engine, message)
    assert (settled, on_trust, now.sid_confirmed) == (0, False, True)
    assert (now.status, now.delivery_status, now.provider_sid) == (
        MessageStatus.ACCEPTED,
        DELIVERED,
        sid_of(message),
    )


async def test_a_callback_settles_what_was_unknown(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await settle_replies(engine, Reply(message=message, status=MessageStatus.UNKNOWN))

    assert await apply(engine, callback(message, SENT)) is Applied.CHANGED
    assert (await message_now(engine, message)).status is MessageStatus.ACCEPTED
    assert await settle_replies(engine, Reply(message=message, status=MessageStatus.LOST)) == 0


async def test_a_callback_without_our_attempt_finds_the_message_by_twilios_id(
    engine: AsyncEngine,
) -> None:
    message = await sent_message(engine)

    assert await apply(engine, replace(callback(message), attempt_id=None)) is Applied.CHANGED
    assert (
        await apply(engine, replace(callback(message, READ), attempt_id="rubbish"))
        is Applied.CHANGED
    )


async def test_a_callback_about_another_message_changes_nothing(engine: AsyncEngine) -> None:
    message = await sent_message(engine)
    status_callback = callback(message)

    answers = [
        await apply(
            engine, replace(status_callback, attempt_id=f"{uuid4()}.1", message_sid="SMother")
        ),
        await apply(engine, replace(status_callback, message_sid="SMother")),
        await apply(engine, status_callback, "somebody else"),
        await apply(engine, replace(status_callback, status=None)),
    ]

    assert answers == [Applied.NOT_OURS, Applied.TO_BE_READ, Applied.NOT_OURS, Applied.NOTHING_NEW]
    assert (await message_now(engine, message)).delivery_status == QUEUED


async def test_a_callback_alone_returns_no_money(engine: AsyncEngine) -> None:
    message = await sent_message(engine)

    answers = [await apply(engine, given_back(message)) for _ in range(3)]

    assert answers == [Applied.TO_BE_READ] * 3
    assert (await message_now(engine, message)).status is MessageStatus.ACCEPTED
    assert await balance(engine) == usd("9.99")
    assert [(check.message_sid, check.reported) for check in await checks(engine)] == [
        (sid_of(message), FAILED)
    ]


async def test_a_message_failed_by_the_suspension_is_given_back_and_refunded(
    engine: AsyncEngine,
) -> None:
    message = await sent_message(engine)

    answers = [await give_back(engine, message) for _ in range(3)]

    now = await message_now(engine, message)
    assert answers == [Applied.TO_BE_READ, Applied.TOO_LATE, Applied.TOO_LATE]
    assert (now.status, now.provider_sid, now.error_code) == (MessageStatus.PENDING, None, 30002)
    assert await balance(engine) == usd("10")
    assert await number(engine, "SELECT count(*) FROM ledger_entries WHERE kind = 'refund'") == 1
    assert await broken_claims(engine) == set()


async def test_a_message_failed_at_twilio_is_refunded_no_matter_what_a_callback_reported_before(
    engine: AsyncEngine,
) -> None:
    message = await sent_message(engine)
    await apply(engine, callback(message, DELIVERED))

    await give_back(engine, message)

    assert (await message_now(engine, message)).status is MessageStatus.PENDING
    assert await balance(engine) == usd("10")


@pytest.mark.parametrize("end", [DELIVERED, UNDELIVERED])
async def test_a_message_sent_according_to_twilio_is_not_refunded_and_a_contradicting_callback_is_an_alert(
    engine: AsyncEngine, end: DeliveryStatus
) -> None:
    message = await sent_message(engine)
    await apply(engine, given_back(message))

    await read_at_twilio(
        engine, listed(message, end, error_code=30003 if end is UNDELIVERED else None)
    )

    now = await message_now(engine, message)
    assert (now.status, now.delivery_status) == (MessageStatus.ACCEPTED, end)
    assert await balance(engine) == usd("9.99")
    assert "callback_contradicted" in await kinds(engine)
    assert await checks(engine, now=datetime.now(UTC) + timedelta(days=9)) == []


async def test_a_message_that_twilio_reports_as_under_way_is_read_again_until_its_final_status(
    engine: AsyncEngine,
) -> None:
    message = await sent_message(engine)
    await apply(engine, given_back(message))

    await read_at_twilio(engine, listed(message, DeliveryStatus.SENDING))
    before = await message_now(engine, message)
    at_once = await checks(engine)
    await read_at_twilio(
        engine,
        listed(message, FAILED, error_code=30002),
        now=datetime.now(UTC) + timedelta(minutes=1),
    )

    assert (before.status, before.delivery_status, at_once) == (
        MessageStatus.ACCEPTED,
        DeliveryStatus.SENDING,
        [],
    )
    assert (await message_now(engine, message)).status is MessageStatus.PENDING


async def test_a_message_deleted_at_twilio_is_not_refunded_but_raises_an_alert(
    engine: AsyncEngine,
) -> None:
    message = await sent_message(engine)
    await apply(engine, given_back(message))

    await read_at_twilio(engine, None)
    early = await kinds(engine)
    await read_at_twilio(engine, None, now=datetime.now(UTC) + timedelta(minutes=20))

    assert (early, await kinds(engine)) == (set(), {"refund_unconfirmed"})
    assert await balance(engine) == usd("9.99")


async def test_a_twilio_message_named_only_by_a_callback_causes_no_refund(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    other = (
        "SM" + "9" * 32
    )  # a failed message that somebody sent to the same number, bypassing Tollgate
    await apply(engine, replace(callback(message, SENT), message_sid=other))
    await apply(engine, replace(given_back(message), message_sid=other))

    outcome = await read_at_twilio(engine, listed(message, FAILED, error_code=30002, sid=other))
    on_trust = await message_now(engine, message)
    await settle_replies(engine, accepted(message))
    later = datetime.now(UTC) + timedelta(minutes=1)
    await read_at_twilio(engine, listed(message, FAILED, error_code=30002, sid=other), now=later)

    now = await message_now(engine, message)
    assert (outcome.refunded, outcome.look_up, on_trust.provider_sid) == (0, (message.id,), other)
    assert (now.status, now.provider_sid, now.sid_confirmed) == (
        MessageStatus.ACCEPTED,
        sid_of(message),
        True,
    )
    assert await balance(engine) == usd("9.99")
    assert await kinds(engine) == {"callback_contradicted"}
    assert await broken_claims(engine) == set()


async def test_twilios_answer_takes_back_what_a_callback_gave_to_another_message(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    first, second = await hand_over(engine, await campaign(engine, messages=2))
    await apply(engine, replace(callback(second, SENT), message_sid=sid_of(first)))

    await settle_replies(
        engine, accepted(first), Reply(message=second, status=MessageStatus.UNKNOWN)
    )

    now = [await message_now(engine, message) for message in (first, second)]
    assert [(message.status, message.provider_sid) for message in now] == [
        (MessageStatus.ACCEPTED, sid_of(first)),
        (MessageStatus.UNKNOWN, None),
    ]


async def test_a_callback_cannot_give_a_message_what_stands_for_another(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    first, second = await hand_over(engine, await campaign(engine, messages=2))
    await settle_replies(engine, accepted(first))

    assert (
        await apply(engine, replace(callback(second), message_sid=sid_of(first)))
        is Applied.TO_BE_READ
    )
    assert (await message_now(engine, second)).status is MessageStatus.SENDING


async def test_a_refusal_by_twilio_counts_even_if_a_callback_reported_the_message_as_taken(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await apply(engine, callback(message, SENT))

    await settle_replies(
        engine, Reply(message=message, status=MessageStatus.REFUSED, error_code=21211)
    )

    assert (await message_now(engine, message)).status is MessageStatus.REFUSED
    assert await balance(engine) == usd("10")
    assert await broken_claims(engine) == set()


async def test_a_refunded_message_is_sent_again_and_ignores_callbacks_of_its_old_attempt(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [first] = await send(engine, sending)
    await give_back(engine, first)
    [second] = await hand_over(engine, sending)

    early = await apply(engine, given_back(first))
    await settle_replies(engine, accepted(second))
    late = [await apply(engine, given_back(first)), await apply(engine, callback(first, DELIVERED))]

    assert (early, late) == (Applied.TOO_LATE, [Applied.TOO_LATE, Applied.TOO_LATE])
    assert second.attempt_id == f"{first.id}.2"
    assert (await message_now(engine, second)).delivery_status == QUEUED
    assert await balance(engine) == usd("9.99")
    assert await broken_claims(engine) == set()


async def test_a_completed_campaign_that_is_given_a_message_back_is_parked(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    first, _ = await send(engine, sending)
    assert (await reserve(engine, sending)).next is Next.DONE

    await give_back(engine, first)

    now = await campaign_now(engine, sending)
    assert (now.status, now.reason) == (CampaignStatus.PARKED, Park.SUSPENDED)
    [change] = await rows(engine, "SELECT * FROM campaign_changes WHERE from_status = 'completed'")
    assert (change.by, change.position) == (transitions.TOLLGATE, 1)


async def test_a_paused_campaign_that_is_given_a_message_back_stays_paused(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    first, _ = await send(engine, sending)
    await change_campaign(engine, sending, Act.PAUSE, reason="asked")

    await give_back(engine, first)

    assert (await campaign_now(engine, sending)).status is CampaignStatus.PAUSED


async def test_one_message_failed_by_the_suspension_is_refunded_and_ends(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    message = await send_one(engine)
    await settle_replies(engine, accepted(message))

    await give_back(engine, message)

    assert (await message_now(engine, message)).status is MessageStatus.REFUSED
    assert await balance(engine) == usd("10")
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("end", [MessageStatus.LOST, MessageStatus.REFUSED])
async def test_a_refunded_message_that_was_sent_is_an_alert_and_can_be_charged_once(
    engine: AsyncEngine, end: MessageStatus
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    if end is MessageStatus.LOST:
        await settle_replies(engine, Reply(message=message, status=end))
    else:
        await settle_replies(engine, accepted(message))
        await give_back(engine, message, 30008)

    applied = await apply(engine, callback(message, DELIVERED))
    early = await kinds(engine)
    await read_at_twilio(engine, listed(message, DELIVERED))
    now, left = await message_now(engine, message), await unpaid(engine)
    refunded = await balance(engine)
    charged = []
    for _ in range(2):
        async with engine.begin() as conn:
            _, outcome = await unpaid_sends.charge(conn, ORGANIZATION, message.id)
        assert isinstance(outcome, Debited)
        charged.append(outcome.replayed)

    assert (applied, early) == (Applied.TOO_LATE, {"sent_after_refund"})
    assert (now.status, now.delivery_status, now.provider_sid) == (end, DELIVERED, sid_of(message))
    assert (left, await unpaid(engine), await kinds(engine)) == ([(message.id, 1)], [], set())
    assert charged == [False, True]
    assert (refunded, await balance(engine)) == (usd("10"), usd("9.99"))
    assert (
        await number(
            engine, "SELECT count(*) FROM ledger_entries WHERE reference_id LIKE 'charge:%'"
        )
        == 1
    )


async def test_a_refunded_message_that_was_delivered_is_an_alert_even_if_it_is_sent_again(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [first] = await send(engine, sending)
    await give_back(engine, first)
    [second] = await send(engine, sending)

    applied = await apply(engine, callback(first, DELIVERED))
    await read_at_twilio(engine, listed(first, DELIVERED))

    assert applied is Applied.TOO_LATE
    assert (await unpaid(engine), await kinds(engine)) == ([(first.id, 1)], {"sent_after_refund"})
    assert (await message_now(engine, second)).provider_sid == sid_of(second)


async def test_a_charge_is_refused_where_nothing_is_unpaid_or_the_gate_is_shut(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    first, second = await send(engine, await campaign(engine, messages=2))
    await give_back(engine, first, 30008)
    await apply(engine, callback(first, DELIVERED))
    await read_at_twilio(engine, listed(first, DELIVERED))
    await shut_gate(engine)

    with pytest.raises(unpaid_sends.NothingUnpaid):
        async with engine.begin() as conn:
            await unpaid_sends.charge(conn, ORGANIZATION, second.id)
    async with engine.connect() as conn:
        _, outcome = await unpaid_sends.charge(conn, ORGANIZATION, first.id)

    assert outcome == Suspended()
    assert await unpaid(engine) == [(first.id, 1)]


async def test_an_alert_that_only_a_callback_raised_clears_when_twilio_denies_it(
    engine: AsyncEngine,
) -> None:
    message = await sent_message(engine)
    await give_back(engine, message, 30008)
    await apply(engine, callback(message, DELIVERED))
    raised = await kinds(engine)

    await read_at_twilio(engine, listed(message, FAILED, error_code=30008))

    assert (raised, await kinds(engine), await unpaid(engine)) == ({"sent_after_refund"}, set(), [])


async def test_an_abandoned_message_that_failed_at_twilio_is_no_alert(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    await settle_replies(engine, Reply(message=message, status=MessageStatus.LOST))

    assert await apply(engine, given_back(message)) is Applied.TOO_LATE
    assert await kinds(engine) == set()
    assert await balance(engine) == usd("10")


@pytest.mark.parametrize(
    ("age", "status", "read"),
    [(5, SENT, True), (5, DELIVERED, False), (1, SENT, False), (80, SENT, False)],
)
async def test_a_message_without_a_final_status_after_hours_is_read_at_twilio(
    engine: AsyncEngine, age: int, status: DeliveryStatus, read: bool
) -> None:
    message = await sent_message(engine)
    await apply(engine, callback(message, status))
    await run(engine, "UPDATE messages SET sending_at = now() - :age * interval '1 hour'", age=age)

    for _ in range(2):
        async with engine.begin() as conn:
            await status_checks.add_undecided(conn, now=datetime.now(UTC))
    due = await checks(engine)

    assert [(check.message_id, check.reported) for check in due] == (
        [(message.id, None)] if read else []
    )


async def kinds(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as conn:
        return {alert.kind for alert in await alerts.standing(conn, ORGANIZATION)}


async def unpaid(engine: AsyncEngine) -> list[tuple[UUID, int]]:
    async with engine.connect() as conn:
        return [
            (unpaid_send.message_id, unpaid_send.attempt)
            for unpaid_send in await unpaid_sends.open_ones(conn, ORGANIZATION, limit=9)
        ]


async def test_a_failed_read_is_due_again_in_a_minute_no_matter_how_often_it_was_tried(
    engine: AsyncEngine,
) -> None:
    message = await sent_message(engine)
    await apply(engine, given_back(message))
    await run(engine, "UPDATE status_checks SET tries = 20")
    now = datetime.now(UTC) + timedelta(seconds=1)
    due = await checks(engine, now=now)
    async with engine.begin() as conn:
        await status_checks.put_off(conn, ORGANIZATION, due, now=now)

    assert await checks(engine, now=now + timedelta(seconds=59)) == []
    assert await checks(engine, now=now + timedelta(seconds=61)) == due
