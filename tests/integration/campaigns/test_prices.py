"""Twilio's prices: each recorded once, and the margin between them and the customers' prices."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import messages as stored
from db.campaigns import prices
from db.campaigns.campaigns import Campaign
from db.campaigns.messages import Message
from db.campaigns.prices import Margin
from domain.money import Money
from tests.builders import (
    ORGANIZATION,
    campaign,
    give_back,
    hand_over,
    message_now,
    onboard,
    run,
    send,
    usd,
)

NOW = datetime.now(UTC)


async def record(engine: AsyncEngine, *priced: tuple[Message, str, str]) -> int:
    async with engine.begin() as conn:
        by_sid = {
            str(message.provider_sid): Money(usd(amount).micros, currency)
            for message, amount, currency in priced
        }
        return await prices.record(conn, ORGANIZATION, by_sid)


async def margins(engine: AsyncEngine, of: Campaign) -> list[Margin]:
    async with engine.connect() as conn:
        return await prices.margins(conn, of.organization_id, of.id, "USD")


async def unpriced(
    engine: AsyncEngine, after: str = "", *, since: int = 72, before: int = 1
) -> str | None:
    """The next organization with messages handed over between these numbers of hours ago."""
    async with engine.connect() as conn:
        found = await prices.next_unpriced(
            conn,
            after=after,
            since=NOW - timedelta(hours=since),
            before=NOW - timedelta(hours=before),
        )
    return None if found is None else found.organization_id


async def test_a_price_is_recorded_once_and_for_its_own_message(engine: AsyncEngine) -> None:
    await onboard(engine)
    first, second = await send(engine, await campaign(engine, messages=2))

    recorded = [
        await record(engine, (first, "0.0079", "USD")),
        await record(engine, (first, "0.01", "USD")),
    ]

    assert recorded == [1, 0]
    assert (await message_now(engine, first)).provider_price == Money(7_900, "USD")
    assert (await message_now(engine, second)).provider_price is None


async def test_a_message_that_somebody_holds_is_priced_in_the_next_pass_and_not_waited_for(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    locked, free = await send(engine, await campaign(engine, messages=2))
    prices_of_both = (locked, "0.0079", "USD"), (free, "0.0079", "USD")
    async with engine.begin() as conn:
        await stored.lock(conn, ORGANIZATION, [locked.id])
        first_pass = await record(engine, *prices_of_both)

    second_pass = await record(engine, *prices_of_both)

    assert (first_pass, second_pass) == (1, 1)
    assert (await message_now(engine, locked)).provider_price == Money(7_900, "USD")


async def test_the_margin_counts_what_is_priced_in_the_wallets_currency(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    of = await campaign(engine, messages=5)
    await run(engine, "UPDATE messages SET country = CASE WHEN position < 5 THEN 'US' END")
    sent = await send(engine, of, limit=4)
    await hand_over(engine, of)  # not accepted yet: neither revenue nor a cost

    await record(
        engine, (sent[0], "0.0079", "USD"), (sent[1], "0.012", "USD"), (sent[2], "0.008", "EUR")
    )

    assert await margins(engine, of) == [
        Margin(
            country="US",
            messages=4,
            unpriced=1,
            incomparable=1,
            charged_micros=40_000,
            cost_micros=19_900,
            margin_micros=100,
        ),
        Margin(
            country=None,
            messages=0,
            unpriced=0,
            incomparable=0,
            charged_micros=0,
            cost_micros=0,
            margin_micros=0,
        ),
    ]


async def test_a_resent_message_begins_without_the_price_of_its_old_attempt(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    of = await campaign(engine, messages=1)
    [first] = await send(engine, of)
    await record(engine, (first, "0.0079", "USD"))
    await give_back(engine, first)

    [again] = await send(engine, of)

    assert again.provider_price is None
    assert await record(engine, (again, "0.0085", "USD")) == 1


async def test_organizations_with_unpriced_messages_are_found_one_by_one(
    engine: AsyncEngine,
) -> None:
    for name in ("acme", "beta", "gamma"):
        await onboard(engine, name)
        await send(engine, await campaign(engine, organization_id=name, messages=2))
    ages = {"acme": 2, "beta": 100, "gamma": 3}
    for name, hours in ages.items():
        await run(
            engine, "UPDATE messages SET sending_at = :at WHERE organization_id = :of",
            at=NOW - timedelta(hours=hours), of=name,
        )  # fmt: skip

    assert [await unpriced(engine, after) for after in ("", "acme", "beta", "gamma")] == [
        "acme", "gamma", "gamma", None
    ]  # fmt: skip
    assert await unpriced(engine, before=4) is None
