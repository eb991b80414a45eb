"""A sender that is changed while a window is open: what the old one was refused for does not park the campaign."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import organizations, refusals
from db.settlements import Reply
from domain import refusal
from domain.campaign import CampaignStatus, MessageStatus, Park
from tests.builders import (
    ORGANIZATION,
    balance,
    broken_claims,
    campaign,
    campaign_now,
    hand_over,
    onboard,
    organization,
    statuses,
    usd,
)

OLD, NEW = organization().sender, "+15005550099"


async def change_sender(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await organizations.change(conn, replace(organization(), sender=NEW))
        assert await refusals.go_on(conn, ORGANIZATION) == []


@pytest.mark.parametrize(
    ("code", "sent_with", "park"), [(21606, OLD, None), (21606, NEW, Park.SENDER_REFUSED), (21619, OLD, "content")]
)
async def test_a_sender_that_was_changed_while_a_window_is_open_is_not_blamed(
    engine: AsyncEngine, code: int, sent_with: str, park: str | None
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    window = await hand_over(engine, sending)
    await change_sender(engine)
    replies = [Reply(message=one, status=MessageStatus.PENDING, error_code=code) for one in window]

    async with engine.begin() as conn:
        parked = await refusals.stop(conn, ORGANIZATION, sending.id, replies, refusal.of(code), sender=sent_with)

    now = await campaign_now(engine, sending)
    assert (parked, now.status is CampaignStatus.PARKED) == (park is not None, park is not None)
    assert park is None or now.reason.startswith(park)
    assert await statuses(engine, sending) == [MessageStatus.PENDING, MessageStatus.PENDING]
    assert await balance(engine) == usd("10")
    assert await broken_claims(engine) == set()
