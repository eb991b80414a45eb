"""Loading recipients: each number once in a campaign, positions without gaps, prices unchanged."""

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import campaigns, recipients
from db.campaigns.campaigns import Campaign
from db.campaigns.recipients import Recipient
from tests.builders import campaign, campaign_now, onboard, rows, run


def to(*numbers: int) -> list[Recipient]:
    return [
        Recipient(number=f"+1415555{number:04d}", country="US", segments=1, price_micros=10_000)
        for number in numbers
    ]


async def draft(engine: AsyncEngine) -> Campaign:
    await onboard(engine)
    return await campaign(engine, messages=0, running=False)


async def load(engine: AsyncEngine, of: Campaign, *numbers: int) -> int:
    async with engine.begin() as conn:
        await campaigns.lock(conn, of.organization_id, of.id)
        return await recipients.add(conn, of.organization_id, of.id, to(*numbers))


async def loaded(engine: AsyncEngine) -> list[tuple[int, int]]:
    """The position and number of each recipient, by position."""
    found = await rows(engine, "SELECT position, recipient FROM messages ORDER BY position")
    return [(row.position, int(row.recipient[-4:])) for row in found]


async def test_a_number_comes_in_once_and_positions_have_no_gap(engine: AsyncEngine) -> None:
    of = await draft(engine)

    added = [
        await load(engine, of, 5, 6, 7),
        await load(engine, of, 6, 8, 5, 9),
        await load(engine, of, 9, 8, 7),
    ]

    assert added == [3, 2, 0]
    assert await loaded(engine) == [(1, 5), (2, 6), (3, 7), (4, 8), (5, 9)]
    assert (await campaign_now(engine, of)).total == 5


async def test_two_uploads_at_once_come_out_as_one(engine: AsyncEngine) -> None:
    of = await draft(engine)

    added = await asyncio.gather(
        *(load(engine, of, *range(start, start + 60)) for start in (0, 30, 60, 90))
    )

    assert sum(added) == 150
    assert [position for position, _ in await loaded(engine)] == list(range(1, 151))
    assert len({number for _, number in await loaded(engine)}) == 150


async def test_more_than_one_statement_holds(engine: AsyncEngine) -> None:
    of = await draft(engine)
    many = recipients.AT_ONCE + 10
    numbers = [
        Recipient(number=f"+1{2000000000 + number}", segments=1, price_micros=1)
        for number in range(many)
    ]

    async with engine.begin() as conn:
        added = await recipients.add(conn, of.organization_id, of.id, numbers)

    assert added == many
    [row] = await rows(engine, "SELECT min(position) AS first, max(position) AS last FROM messages")
    assert (row.first, row.last) == (1, many)


async def test_the_table_refuses_a_number_twice_in_one_campaign(engine: AsyncEngine) -> None:
    of = await draft(engine)
    await load(engine, of, 5, 6)

    with pytest.raises(IntegrityError, match="messages_recipient_idx"):
        await run(engine, "UPDATE messages SET recipient = '+14155550005'")


async def test_two_campaigns_may_have_the_same_number(engine: AsyncEngine) -> None:
    of = await draft(engine)
    other = await campaign(engine, messages=0, name="autumn", running=False)

    assert [await load(engine, of, 5), await load(engine, other, 5)] == [1, 1]
