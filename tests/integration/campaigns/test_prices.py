"""Twilio's prices: each recorded once, and the margin between them and the customers' prices."""

from datetime import UTC, date, datetime, timedelta

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
    number,
    onboard,
    run,
    send,
    usd,
)

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
YESTERDAY = date(2026, 5, 5)


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
    engine: AsyncEngine, after: str = "", *, since: int = 72, before: int = 1, later: int = 0
) -> list[prices.Unpriced]:
    """The organizations with messages handed over between these numbers of hours ago, and the days
    that are due, as found after `later` hours.
    """
    async with engine.connect() as conn:
        found = await prices.unpriced(
            conn,
            after=after,
            since=NOON - timedelta(hours=since),
            before=NOON - timedelta(hours=before),
            now=NOON + timedelta(hours=later),
            limit=10,
        )
    return [organization for organization in found if organization.days]


async def days(engine: AsyncEngine, *, later: int = 0) -> list[date]:
    return [
        due.day for organization in await unpriced(engine, later=later) for due in organization.days
    ]


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


async def sent_ago(engine: AsyncEngine, **hours: int) -> None:
    """An organization of each name, with two messages handed over so many hours ago."""
    for name, ago in hours.items():
        await onboard(engine, name)
        await send(engine, await campaign(engine, organization_id=name, messages=2))
        await run(
            engine, "UPDATE messages SET sending_at = :at WHERE organization_id = :of",
            at=NOON - timedelta(hours=ago), of=name,
        )  # fmt: skip


async def listed(
    engine: AsyncEngine, day: date, *, later: int = 0, page: str | None = None
) -> None:
    async with engine.begin() as conn:
        await prices.note_listed(conn, ORGANIZATION, day, page, now=NOON + timedelta(hours=later))


async def test_organizations_with_unpriced_messages_are_found_in_order(engine: AsyncEngine) -> None:
    await sent_ago(engine, acme=2, beta=100, gamma=3)

    found = {
        after: [organization.organization_id for organization in await unpriced(engine, after)]
        for after in ("", "acme", "beta", "gamma")
    }

    assert found == {"": ["acme", "gamma"], "acme": ["gamma"], "beta": ["gamma"], "gamma": []}
    assert await unpriced(engine, before=4) == []


async def test_the_day_after_is_listed_too_for_messages_that_were_queued_over_midnight(
    engine: AsyncEngine,
) -> None:
    await sent_ago(engine, acme=24)

    assert await days(engine) == [YESTERDAY, NOON.date()]


async def test_a_day_is_listed_again_every_three_hours_and_later_when_it_is_twice_as_old(
    engine: AsyncEngine,
) -> None:
    await sent_ago(engine, acme=2)
    today = NOON.date()
    await listed(engine, today)

    assert [await days(engine, later=hours) for hours in (0, 2, 3)] == [[], [], [today]]
    await listed(engine, today, later=22)  # ten hours after its end
    assert today not in await days(engine, later=31)
    assert today in await days(engine, later=32)


async def test_a_day_whose_messages_have_their_prices_is_not_listed_again(
    engine: AsyncEngine,
) -> None:
    await sent_ago(engine, acme=2)
    await listed(engine, NOON.date())
    await run(
        engine, "UPDATE messages SET provider_price_micros = 1, provider_price_currency = 'USD'"
    )

    assert await days(engine, later=20) == []


async def test_a_list_that_was_not_read_to_its_end_continues_at_its_page(
    engine: AsyncEngine,
) -> None:
    await sent_ago(engine, acme=2)
    await listed(engine, NOON.date(), page="page-2")

    [organization] = await unpriced(engine)

    assert [(due.day, due.page) for due in organization.days] == [(NOON.date(), "page-2")]


async def test_days_of_long_ago_are_forgotten(engine: AsyncEngine) -> None:
    await onboard(engine)
    for day in (YESTERDAY, NOON.date()):
        await listed(engine, day)

    async with engine.begin() as conn:
        await prices.forget_listed(conn, before=NOON.date())

    assert await number(engine, "SELECT count(*) FROM listed_days") == 1
