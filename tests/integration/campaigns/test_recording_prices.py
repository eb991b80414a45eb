"""Recording Twilio's prices: a step reads some pages, and the next one continues where it stopped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.campaigns.prices import Prices
from providers.http import fast_client
from providers.twilio import Twilio
from simulators.serving import serve
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator
from tests.builders import campaign, number, onboard, rows, run, send
from tests.world import until

ORGANIZATIONS = 15
WITHOUT = "SELECT organization_id FROM messages WHERE provider_price_micros IS NULL"
UNPRICED = "SELECT count(*) FROM messages WHERE provider_price_micros IS NULL"


async def delivered(simulator: TwilioSimulator) -> None:
    async def all_delivered() -> bool:
        return all(message.status == "delivered" for message in simulator.state.messages.values())

    await until(all_delivered, "all delivered")


async def a_message_each(
    engine: AsyncEngine,
    simulator: TwilioSimulator,
    organizations: int = ORGANIZATIONS,
    *,
    settled: bool = True,
) -> None:
    """One message of every organization, accepted by Twilio, hours ago by our own record."""
    simulator.state.behaviour.change({"sending_after": 0, "sent_after": 0, "delivered_after": 0})
    for n in range(organizations):
        account = simulator.state.open_account(f"o{n}")
        taken = simulator.messages.accept(
            account, {"To": "+14155550100", "From": "+15005550006", "Body": "Hello"}
        )
        await onboard(engine, f"o{n}", account=account.sid)
        await send(engine, await campaign(engine, messages=1, organization_id=f"o{n}"))
        query = "UPDATE messages SET provider_sid = :sid WHERE organization_id = :of"
        await run(engine, query, sid=taken.sid, of=f"o{n}")
    await run(engine, "UPDATE messages SET sending_at = sending_at - interval '2 hours'")
    await delivered(simulator)
    if settled:
        simulator.state.settle_prices()


@asynccontextmanager
async def recording(engine: AsyncEngine) -> AsyncIterator[tuple[TwilioSimulator, Prices]]:
    async def turn() -> None:
        """Without a limit."""

    async with serve(TwilioSimulator()) as simulator, fast_client() as client:
        twilio = Twilio(
            client=client, account_sid=MAIN_SID, auth_token=MAIN_TOKEN, base_url=simulator.url
        )
        yield simulator, Prices(engine, twilio, turn)


async def record_all(prices: Prices) -> tuple[int, int]:
    """One pass: its steps, and the pages that they read."""
    at: str | None = ""
    steps = pages = 0
    while at is not None:
        at, read = await prices.record(at, now=datetime.now(UTC))
        steps, pages = steps + 1, pages + read
    return steps, pages


async def test_a_step_records_some_prices_and_the_next_one_continues(engine: AsyncEngine) -> None:
    async with recording(engine) as (simulator, prices):
        await a_message_each(engine, simulator)
        following, _ = await prices.record("", now=datetime.now(UTC))
        left = await number(engine, UNPRICED)
        end, _ = await prices.record(following or "", now=datetime.now(UTC))

    assert (following, left) == ("o6", ORGANIZATIONS - 12)  # o0, o1, o10, ...
    assert end is None
    assert await number(engine, UNPRICED) == 0


async def test_a_second_pass_asks_for_nothing_again(engine: AsyncEngine) -> None:
    """Whether Twilio has priced the messages, or not yet."""
    async with recording(engine) as (simulator, prices):
        await a_message_each(engine, simulator, settled=False)
        _, first = await record_all(prices)
        assert await number(engine, UNPRICED) == ORGANIZATIONS
        _, second = await record_all(prices)

        simulator.state.settle_prices()
        await run(engine, "UPDATE listed_days SET listed_at = listed_at - interval '4 days'")
        await record_all(prices)
        _, last = await record_all(prices)

    assert first >= ORGANIZATIONS
    assert (second, last) == (0, 0)
    assert await number(engine, UNPRICED) == 0


async def test_an_organization_that_twilio_does_not_know_does_not_hold_up_those_behind_it(
    engine: AsyncEngine,
) -> None:
    async with recording(engine) as (simulator, prices):
        await a_message_each(engine, simulator, 3)
        [gone] = [
            sid
            for sid, account in simulator.state.accounts.items()
            if account.friendly_name == "o1"
        ]
        del simulator.state.accounts[gone]

        at, _ = await prices.record("", now=datetime.now(UTC))

    assert at is None
    assert [row.organization_id for row in await rows(engine, WITHOUT)] == ["o1"]


async def test_a_long_list_is_read_in_several_steps_and_none_of_its_pages_twice(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.twilio.adapter._MOST_LISTED", 2)
    async with recording(engine) as (simulator, prices):
        await a_message_each(engine, simulator, 1)
        [account] = [a for a in simulator.state.accounts.values() if a.friendly_name == "o0"]
        for n in range(19):
            simulator.messages.accept(
                account, {"To": f"+141555502{n:02}", "From": "+15005550006", "Body": "Hello"}
            )
        await delivered(simulator)

        steps, pages = await record_all(prices)

    assert pages - 10 in (0, 1)  # and the day before, shortly after midnight
    assert steps > 1
