"""Twilio's count of segments against ours: each difference is charged or returned once."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.carrier.segment_differences import SegmentDifferences
from db.carrier import segment_differences
from domain.campaigns.telephony import DeliveryStatus, SentMessage
from domain.money import Money
from tests.builders import (
    ORGANIZATION,
    balance,
    broken_claims,
    campaign,
    onboard,
    rows,
    send,
    sid_of,
    usd,
)

CHARGES = "SELECT description FROM ledger_entries WHERE kind = 'carrier_charge'"
BLOCKS = "SELECT kind FROM blocks"


async def listed(engine: AsyncEngine, *segments: int) -> list[SentMessage]:
    """A message for each, paid for as one segment, as Twilio lists it with so many."""
    sent = await send(engine, await campaign(engine, messages=len(segments)))
    return [
        SentMessage(
            sid=sid_of(message),
            account_sid="AC1",
            to=message.recipient,
            body="hello",
            status=DeliveryStatus.DELIVERED,
            price=Money(7_500 * number, "USD"),
            segments=number,
        )
        for message, number in zip(sent, segments, strict=True)
    ]


async def settle(engine: AsyncEngine, of: Sequence[SentMessage]) -> None:
    await SegmentDifferences(engine).settle(ORGANIZATION, of)


async def test_more_segments_are_charged_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    found = await listed(engine, 3, 1, 2)
    before = await balance(engine)

    await settle(engine, found)
    await settle(engine, found)

    assert before.micros - (await balance(engine)).micros == 3 * 10_000
    [charge] = await rows(engine, CHARGES)
    assert charge.description == "Twilio counted more segments"
    async with engine.connect() as conn:
        assert await segment_differences.counts(conn) == {"more": 2}
    assert await broken_claims(engine) == set()


async def test_fewer_segments_are_returned_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await listed(engine, 1)
    await _paid_for_two(engine)
    before = await balance(engine)

    await settle(engine, [message])
    await settle(engine, [message])

    assert (await balance(engine)).micros - before.micros == 5_000
    async with engine.connect() as conn:
        assert await segment_differences.counts(conn) == {"fewer": 1}
    assert await broken_claims(engine) == set()


async def test_what_the_wallet_cannot_pay_is_owed_and_blocks(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.01")
    found = await listed(engine, 2)

    await settle(engine, found)

    assert await balance(engine) == usd("0.00")
    assert [row.kind for row in await rows(engine, BLOCKS)] == ["funds"]
    assert await broken_claims(engine) == set()


async def test_a_message_of_somebody_else_is_nobodys(engine: AsyncEngine) -> None:
    await onboard(engine)
    [message] = await listed(engine, 2)
    await onboard(engine, "other", account="AC" + "9" * 32)

    await SegmentDifferences(engine).settle("other", [message])

    async with engine.connect() as conn:
        assert await segment_differences.counts(conn) == {}


async def _paid_for_two(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await conn.exec_driver_sql("UPDATE messages SET segments = 2")
