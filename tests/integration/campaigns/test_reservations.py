"""Paying for messages before they are sent: in order, once, and refunded if Twilio did not accept
them.
"""

from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import messages, resends, reservations, windows
from db.campaigns.campaigns import Campaign
from db.campaigns.messages import Message
from db.campaigns.reservations import DifferentMessage
from db.campaigns.send_results import Reply
from domain.campaigns.campaign import Act, CampaignStatus, MessageStatus, Next, Park
from domain.campaigns.quiet_hours import QuietHours
from domain.wallet.entries import credit
from domain.wallet.ledger import (
    Debited,
    Frozen,
    InsufficientFunds,
    Outcome,
    Suspended,
    WalletNotFound,
)
from tests.builders import (
    ONE_CENT,
    ORGANIZATION,
    accepted,
    balance,
    begin_window,
    block,
    broken_claims,
    campaign,
    campaign_now,
    change_campaign,
    freeze,
    hand_over,
    message_now,
    number,
    onboard,
    open_gate,
    post,
    reserve,
    resume,
    rows,
    send,
    send_one,
    settle_replies,
    shut_gate,
    statuses,
    subscribe,
    unblock,
    usd,
)

PENDING, RESERVED, SENDING = MessageStatus.PENDING, MessageStatus.RESERVED, MessageStatus.SENDING
ACCEPTED, REFUSED, UNKNOWN, LOST = (
    MessageStatus.ACCEPTED,
    MessageStatus.REFUSED,
    MessageStatus.UNKNOWN,
    MessageStatus.LOST,
)


async def release(engine: AsyncEngine, of: Campaign) -> int:
    async with engine.begin() as conn:
        return await windows.release(conn, of.organization_id, of.id)


async def test_a_batch_is_paid_for_one_entry_a_message(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=5)

    batch = await reserve(engine, sending, limit=3)

    assert (batch.next, batch.reserved, batch.position, batch.total) == (Next.SEND, 3, 1, 5)
    assert await statuses(engine, sending) == [RESERVED] * 3 + [PENDING] * 2
    assert await balance(engine) == usd("9.97")
    assert await number(engine, "SELECT count(*) FROM ledger_entries WHERE kind = 'debit'") == 3


async def test_a_batch_repeated_after_a_lost_answer_pays_for_nothing_twice(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=5)

    batches = [await reserve(engine, sending, limit=3) for _ in range(3)]

    assert batches[0] == batches[1] == batches[2]
    assert await balance(engine) == usd("9.97")


async def test_reserved_messages_are_sent_before_more_are_paid_for(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=5)
    await reserve(engine, sending, limit=3)
    await begin_window(engine, sending, limit=2)

    left = await reserve(engine, sending, limit=3)
    await begin_window(engine, sending)
    rest = await reserve(engine, sending, limit=3)

    assert (left.reserved, left.position) == (1, 3)
    assert (rest.reserved, rest.position) == (2, 4)


async def test_an_empty_wallet_parks_the_campaign_at_the_exact_message(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.03")
    sending = await campaign(engine, messages=5)
    await send(engine, sending)

    batch = await reserve(engine, sending)

    assert (batch.next, batch.position, batch.reason) == (Next.STOP, 4, Park.INSUFFICIENT_FUNDS)
    [change] = await rows(engine, "SELECT * FROM campaign_changes WHERE to_status = 'parked'")
    assert (change.by, change.reason, change.position) == ("tollgate", "insufficient_funds", 4)
    assert await balance(engine) == usd("0")


async def test_a_cheaper_message_further_down_does_not_jump_the_queue(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.05")
    sending = await campaign(engine, prices=[usd("0.02"), usd("0.04"), usd("0.01")])

    batch = await reserve(engine, sending)

    assert batch.reserved == 1
    assert await statuses(engine, sending) == [RESERVED, PENDING, PENDING]
    assert await balance(engine) == usd("0.03")


async def test_a_wallet_that_pays_to_the_last_micro_is_not_short(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.05")
    sending = await campaign(engine, messages=5)

    assert (await reserve(engine, sending)).reserved == 5
    assert await balance(engine) == usd("0")


@pytest.mark.parametrize("frozen_by_operator", [True, False])
async def test_a_frozen_wallet_parks_the_campaign(
    engine: AsyncEngine, frozen_by_operator: bool
) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await freeze(engine, by_operator=frozen_by_operator)

    batch = await reserve(engine, sending)

    assert (batch.next, batch.reason, batch.position) == (Next.STOP, Park.FROZEN, 1)


async def test_a_shut_gate_parks_the_campaign_even_where_messages_are_paid_for(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await reserve(engine, sending, limit=2)
    await shut_gate(engine)

    batch = await reserve(engine, sending)

    assert (batch.next, batch.reason, batch.position) == (Next.STOP, Park.SUSPENDED, 1)
    assert (await campaign_now(engine, sending)).status is CampaignStatus.PARKED


async def test_a_campaign_that_does_not_run_reserves_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, running=False)

    batch = await reserve(engine, sending)

    assert (batch.next, batch.status) == (Next.STOP, CampaignStatus.DRAFT)
    assert await balance(engine) == usd("10")


async def test_a_campaign_of_an_unknown_organization_is_none(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    async with engine.begin() as conn:
        assert (
            await reservations.reserve(conn, "nobody", sending.id, limit=1, now=datetime.now(UTC))
            is None
        )


async def test_a_campaign_is_done_when_the_last_message_is_settled(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    window = await hand_over(engine, sending)

    waits = await reserve(engine, sending)
    await settle_replies(engine, *(accepted(message) for message in window))
    done = await reserve(engine, sending)

    assert waits.next is Next.WAIT_FOR_UNKNOWN
    assert (done.next, done.status) == (Next.DONE, CampaignStatus.COMPLETED)
    assert await broken_claims(engine) == set()


async def test_a_window_takes_what_is_reserved_in_order_and_tells_the_attempt(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=5)
    await reserve(engine, sending)

    window = await begin_window(engine, sending, limit=2)

    assert window is not None
    assert [message.position for message in window] == [1, 2]
    assert [message.attempt_id for message in window] == [f"{message.id}.1" for message in window]
    assert [message.body for message in window] == ["hello", "hello"]
    assert await statuses(engine, sending) == [SENDING] * 2 + [RESERVED] * 3


async def test_a_window_is_empty_when_nothing_is_reserved_and_none_when_it_may_not_go(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    assert await begin_window(engine, sending) == []
    await reserve(engine, sending)

    await freeze(engine, by_operator=True)
    frozen = await begin_window(engine, sending)
    await change_campaign(engine, sending, Act.PAUSE, reason="asked")
    paused = await begin_window(engine, sending)

    assert frozen is None
    assert paused is None
    assert await statuses(engine, sending) == [RESERVED] * 5


async def test_a_shut_gate_sends_nothing_even_if_it_is_paid_for(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await reserve(engine, sending)
    await shut_gate(engine)

    assert await begin_window(engine, sending) is None
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("act", [Act.PAUSE, Act.CANCEL])
async def test_a_campaign_stopped_by_a_person_sends_nothing_even_if_it_is_paid_for(
    engine: AsyncEngine, act: Act
) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await reserve(engine, sending)
    await change_campaign(engine, sending, act, reason="by a person" if act is Act.PAUSE else "")

    assert await begin_window(engine, sending) is None
    assert await statuses(engine, sending) == [RESERVED] * 5


async def test_an_unsent_message_is_refunded_and_pending_again(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=5)
    await reserve(engine, sending)
    window = await begin_window(engine, sending, limit=2)

    released = [await release(engine, sending), await release(engine, sending)]

    assert window is not None
    assert released == [3, 0]
    assert await statuses(engine, sending) == [SENDING] * 2 + [PENDING] * 3
    assert await balance(engine) == usd("9.98")
    assert await broken_claims(engine) == set()


async def test_a_released_message_is_paid_for_again_with_its_next_attempt(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    await reserve(engine, sending)
    await release(engine, sending)

    [message] = await hand_over(engine, sending)

    assert message.attempt == 2
    assert await balance(engine) == usd("9.99")
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize(
    ("status", "refunded", "after"),
    [
        (ACCEPTED, False, ACCEPTED),
        (REFUSED, True, REFUSED),
        (UNKNOWN, False, UNKNOWN),
        (LOST, True, LOST),
        (RESERVED, False, RESERVED),
        (PENDING, True, PENDING),
    ],
)
async def test_how_an_attempt_comes_out(
    engine: AsyncEngine, status: MessageStatus, refunded: bool, after: MessageStatus
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))

    settled = await settle_replies(engine, Reply(message=message, status=status))

    assert settled == 1
    assert (await message_now(engine, message)).status is after
    assert await balance(engine) == (usd("10") if refunded else usd("9.99"))
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("first", [ACCEPTED, REFUSED, LOST, PENDING])
@pytest.mark.parametrize("second", [ACCEPTED, REFUSED, UNKNOWN, LOST, RESERVED])
async def test_an_attempt_that_was_settled_before_is_left_alone(
    engine: AsyncEngine, first: MessageStatus, second: MessageStatus
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    sid = "SM1" if first is ACCEPTED else None
    await settle_replies(engine, Reply(message=message, status=first, provider_sid=sid))
    before = await balance(engine)

    settled = await settle_replies(engine, Reply(message=message, status=second))

    assert settled == 0
    assert (await message_now(engine, message)).status is first
    assert await balance(engine) == before


async def test_the_answer_to_an_earlier_attempt_does_not_settle_a_later_one(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [first] = await hand_over(engine, sending)
    await settle_replies(engine, Reply(message=first, status=PENDING))
    [second] = await hand_over(engine, sending)

    settled = await settle_replies(engine, Reply(message=first, status=REFUSED))

    assert settled == 0
    assert (await message_now(engine, second)).status is SENDING
    assert await balance(engine) == usd("9.99")


async def test_a_message_that_may_have_been_accepted_is_never_sent_again(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    first, second = await hand_over(engine, sending)
    await settle_replies(engine, Reply(message=first, status=UNKNOWN), accepted(second))

    batch = await reserve(engine, sending)

    assert batch.next is Next.WAIT_FOR_UNKNOWN
    assert await begin_window(engine, sending) == []
    assert await release(engine, sending) == 0
    assert await statuses(engine, sending) == [UNKNOWN, ACCEPTED]


async def test_messages_of_a_dead_sender_become_unknown_and_keep_their_debit(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=3)
    await reserve(engine, sending)
    await begin_window(engine, sending, limit=2)

    async with engine.begin() as conn:
        left = await windows.mark_unanswered(conn, ORGANIZATION, sending.id)

    assert left == 2
    assert await statuses(engine, sending) == [UNKNOWN, UNKNOWN, RESERVED]
    assert await balance(engine) == usd("9.97")
    assert await broken_claims(engine) == set()


async def test_a_message_not_processed_by_twilio_is_sent_again_without_another_charge(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [message] = await hand_over(engine, sending)
    await settle_replies(engine, Reply(message=message, status=RESERVED, problem="429"))

    [again] = await hand_over(engine, sending)

    assert again.attempt_id == message.attempt_id
    assert await balance(engine) == usd("9.99")


async def test_a_message_given_up_may_be_requested_again_behind_a_shut_gate_and_is_not_sent(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=1)
    [message] = await hand_over(engine, sending)
    await settle_replies(engine, Reply(message=message, status=LOST))
    await shut_gate(engine)

    async with engine.begin() as conn:
        await resends.in_its_campaign(conn, await message_now(engine, message), sending.id)

    assert (await reserve(engine, sending)).reason == Park.SUSPENDED
    assert await broken_claims(engine) == set()


async def test_one_message_is_sent_once_for_its_key(engine: AsyncEngine) -> None:
    await onboard(engine)

    first = await send_one(engine, "k")
    second = await send_one(engine, "k")

    assert second == first
    assert first.status is SENDING
    assert await balance(engine) == usd("9.99")
    assert await broken_claims(engine) == set()


async def test_a_key_that_stands_for_another_message_is_refused(engine: AsyncEngine) -> None:
    await onboard(engine)
    await send_one(engine, "k")

    with pytest.raises(DifferentMessage):
        await pay_for_one(engine, body="something else")

    assert await balance(engine) == usd("9.99")


async def pay_for_one(
    engine: AsyncEngine, *, organization_id: str = ORGANIZATION, body: str = "hello"
) -> tuple[Message | None, Outcome | None]:
    async with engine.begin() as conn:
        return await reservations.pay_for_one(
            conn,
            organization_id,
            recipient="+15005550010",
            body=body,
            segments=1,
            price=ONE_CENT,
            key="k",
        )


async def test_one_message_that_is_not_paid_for_is_not_stored(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.009999")
    poor = await pay_for_one(engine)
    await post(engine, credit("c", usd("1")))
    await freeze(engine, by_operator=True)
    frozen = await pay_for_one(engine)
    await shut_gate(engine)
    shut = await pay_for_one(engine)

    assert poor == (None, InsufficientFunds(9_999, 10_000))
    assert frozen == (None, Frozen("fraud suspected"))
    assert shut == (None, Suspended())
    assert await pay_for_one(engine, organization_id="nobody") == (None, WalletNotFound("nobody"))
    assert await number(engine, "SELECT count(*) FROM messages") == 0


async def test_a_message_that_was_refused_may_be_requested_again(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    refused, _ = await pay_for_one(engine)
    await post(engine, credit("c", usd("1")))

    message, outcome = await pay_for_one(engine)

    assert refused is None
    assert message is not None
    assert isinstance(outcome, Debited)


async def test_a_campaign_goes_on_where_it_was_parked_and_every_message_goes_once(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    sending = await campaign(engine, messages=6)
    first = await send(engine, sending, limit=2)
    await reserve(engine, sending, limit=2)
    await block(engine)
    parked = await reserve(engine, sending)
    await release(engine, sending)
    await unblock(engine)
    await open_gate(engine)
    resumed = await resume(engine)
    rest = await send(engine, sending)

    assert parked.position == 3
    assert resumed == [sending.id]
    assert [message.position for message in first + rest] == [1, 2, 3, 4, 5, 6]
    assert (await reserve(engine, sending)).next is Next.DONE
    assert await balance(engine) == usd("9.94")
    assert await broken_claims(engine) == set()


async def test_organizations_with_open_hand_overs_are_found_by_their_age(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    [message] = await hand_over(engine, await campaign(engine, messages=1))
    assert message.sending_at is not None

    async with engine.connect() as conn:
        early = await messages.unsettled_organizations(
            conn, before=message.sending_at, after="", limit=10
        )
        later = message.sending_at + timedelta(microseconds=1)
        due = await messages.unsettled_organizations(conn, before=later, after="", limit=10)

    assert (early, due) == ([], [ORGANIZATION])


async def test_recipients_are_left_alone_while_their_country_is_quiet_and_the_others_go(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    quiet = QuietHours(time(21), time(8))
    sending = await campaign(engine, countries=["DE", "US", "DE", "US", None], quiet_hours=quiet)
    in_the_night = datetime(2026, 1, 15, 22, tzinfo=UTC)  # 23:00 in Berlin, 12:00 in Honolulu

    first = await reserve(engine, sending, limit=10, now=in_the_night)
    window = await begin_window(engine, sending, limit=10, now=in_the_night)
    assert window is not None
    await settle_replies(engine, *(accepted(message) for message in window))
    waits = await reserve(engine, sending, limit=10, now=in_the_night)
    morning = await reserve(engine, sending, limit=10, now=datetime(2026, 1, 16, 7, tzinfo=UTC))

    assert (first.next, first.reserved, [message.position for message in window]) == (
        Next.SEND,
        2,
        [2, 4],
    )
    assert (waits.next, waits.reason, waits.position, waits.begins_in) == (
        Next.STOP,
        "quiet_hours",
        1,
        9 * 3600,
    )
    assert (morning.next, morning.reserved) == (Next.SEND, 2)
    assert await broken_claims(engine) == set()


async def test_a_number_without_a_known_time_zone_is_held_at_any_hour(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(
        engine, countries=["XK", None], quiet_hours=QuietHours(time(21), time(8))
    )

    night = await reserve(engine, sending, limit=10, now=datetime(2026, 1, 15, 2, tzinfo=UTC))
    noon = await reserve(engine, sending, limit=10, now=datetime(2026, 1, 15, 12, tzinfo=UTC))
    window = await begin_window(
        engine, sending, limit=10, now=datetime(2026, 1, 15, 12, tzinfo=UTC)
    )

    assert window is not None
    assert (
        night.next,
        night.reserved,
        noon.reserved,
        [message.position for message in window],
    ) == (
        Next.STOP,
        0,
        1,
        [1],
    )


async def test_messages_reserved_before_quiet_hours_are_not_sent_in_them(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(
        engine, countries=["DE", "DE"], quiet_hours=QuietHours(time(21), time(8))
    )
    await reserve(engine, sending, limit=10, now=datetime(2026, 1, 15, 19, 59, tzinfo=UTC))
    after = datetime(2026, 1, 15, 20, tzinfo=UTC)

    assert await begin_window(engine, sending, limit=10, now=after) == []
    assert (await reserve(engine, sending, limit=10, now=after)).next is Next.STOP
    assert await release(engine, sending) == 2
    assert await balance(engine) == usd("10.00")


async def test_a_message_carries_when_quiet_hours_begin_for_it(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    noon = datetime(2026, 1, 15, 18, 30, tzinfo=UTC)
    sending = await campaign(
        engine, countries=["DE", "US"], quiet_hours=QuietHours(time(21), time(8))
    )
    await reserve(engine, sending, now=noon)

    window = await begin_window(engine, sending, now=noon)

    assert window is not None
    assert [message.not_after for message in window] == [
        datetime(2026, 1, 15, 20, tzinfo=UTC),
        datetime(2026, 1, 16, 2, tzinfo=UTC),
    ]
