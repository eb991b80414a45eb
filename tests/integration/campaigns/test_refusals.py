"""A sender that is changed during a window: refusals of the old sender do not park the campaign."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import refusals
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from db.lifecycle import organizations
from domain.campaigns import send_refusal
from domain.campaigns.campaign import CampaignStatus, MessageStatus, Park
from domain.campaigns.send_refusal import Stop
from domain.campaigns.telephony import DeliveryStatus
from tests.builders import (
    ORGANIZATION,
    accepted,
    apply,
    balance,
    broken_claims,
    callback,
    campaign,
    campaign_now,
    hand_over,
    onboard,
    organization,
    rows,
    send,
    send_one,
    settle_replies,
    statuses,
    usd,
)

OLD, NEW = organization().sender, "+15005550099"


async def change_sender(engine: AsyncEngine, sender: str = NEW) -> None:
    async with engine.begin() as conn:
        await organizations.change(conn, replace(organization(), sender=sender))
        assert await refusals.resume_with_new_sender(conn, ORGANIZATION) == []


@pytest.mark.parametrize(
    ("code", "sent_with", "park"),
    [(21606, OLD, None), (21606, NEW, Park.SENDER_REFUSED), (21619, OLD, "content")],
)
async def test_a_sender_that_was_changed_while_a_window_is_open_is_not_blamed(
    engine: AsyncEngine, code: int, sent_with: str, park: str | None
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    window = await hand_over(engine, sending)
    await change_sender(engine)
    replies = [
        Reply(message=message, status=MessageStatus.PENDING, error_code=code) for message in window
    ]

    async with engine.begin() as conn:
        parked = await refusals.stop(
            conn, ORGANIZATION, sending.id, replies, send_refusal.of(code), sender=sent_with
        )

    now = await campaign_now(engine, sending)
    assert (parked, now.status is CampaignStatus.PARKED) == (park is not None, park is not None)
    assert park is None or now.reason.startswith(park)
    assert await statuses(engine, sending) == [MessageStatus.PENDING, MessageStatus.PENDING]
    assert await balance(engine) == usd("10")
    assert await broken_claims(engine) == set()


async def stop_of(engine: AsyncEngine, campaign_id: UUID) -> Stop | None:
    async with engine.connect() as conn:
        course = await refusals.course(conn, ORGANIZATION, campaign_id)
    assert course is not None
    return course.stop


async def in_a_row(engine: AsyncEngine, campaign_id: UUID) -> int:
    async with engine.connect() as conn:
        course = await refusals.course(conn, ORGANIZATION, campaign_id)
    assert course is not None
    return course.in_a_row


async def undelivered(engine: AsyncEngine, messages: Sequence[Message], code: int) -> None:
    """Refused by carriers: Twilio accepted the messages, and they stay charged."""
    for message in messages:
        await apply(engine, callback(message, DeliveryStatus.UNDELIVERED, error_code=code))


async def sending_refused(engine: AsyncEngine) -> bool:
    return bool(
        await rows(
            engine, "SELECT 1 FROM alerts WHERE kind = 'sending_refused' AND cleared_at IS NULL"
        )
    )


@pytest.mark.parametrize("code", [30034, 30007, 30024, 39999])
async def test_refusals_of_a_former_sender_by_carriers_do_not_stop_the_campaign_with_the_new_one(
    engine: AsyncEngine, code: int
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=20)
    before = await send(engine, sending, limit=6)
    await change_sender(engine)
    await undelivered(engine, before, code)
    former = await stop_of(engine, sending.id)

    after = await send(engine, sending, limit=4)
    await undelivered(engine, after, code)
    too_few = await stop_of(engine, sending.id)
    await undelivered(engine, await send(engine, sending, limit=1), code)

    assert (former, too_few) == (None, None)
    assert (await stop_of(engine, sending.id)) is not None


async def test_refusals_in_a_row_of_a_former_sender_do_not_count_for_the_new_one(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=20)
    window = await hand_over(engine, sending, limit=4)
    await settle_replies(
        engine,
        *(
            Reply(message=message, status=MessageStatus.REFUSED, error_code=39999)
            for message in window
        ),
    )
    before = await in_a_row(engine, sending.id)

    await change_sender(engine)

    assert (before, await in_a_row(engine, sending.id)) == (4, 0)


async def test_a_late_failure_of_a_former_sender_raises_no_alert_about_the_sender(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    former = [await send_one(engine, "k1"), await send_one(engine, "k2")]
    await settle_replies(engine, *(accepted(message) for message in former))
    await change_sender(engine)

    await undelivered(engine, former[:1], 30034)
    of_the_sender = await sending_refused(engine)
    await undelivered(engine, former[1:], 20003)

    assert not of_the_sender
    assert await sending_refused(engine)  # a refusal of the account applies to any sender
    await change_sender(engine, OLD)
    present = await send_one(engine, "k3")
    await settle_replies(engine, accepted(present))
    await undelivered(engine, [present], 30034)
    assert await sending_refused(engine)


async def test_a_message_keeps_the_sender_that_it_was_sent_with(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    [first] = await send(engine, sending, limit=1)
    await change_sender(engine)

    [second] = await hand_over(engine, sending, limit=1)

    assert (first.sender, second.sender) == (OLD, NEW)
