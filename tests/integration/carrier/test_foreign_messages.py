"""Messages that a subaccount sent past Tollgate, or received: found in Twilio's list, once each."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.campaigns.prices import Prices
from activities.carrier import foreign_messages
from activities.carrier.foreign_messages import ForeignMessages
from db.carrier import message_readings
from db.carrier.message_readings import Walked
from db.recovery import fences
from domain.alerts import AlertKind
from domain.campaigns.telephony import SentMessage as At
from providers.http import fast_client
from providers.twilio import Twilio
from simulators.serving import serve
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator
from simulators.twilio.billing.charges import receive
from simulators.twilio.state import Account, SentMessage
from tests.builders import campaign, hand_over, number, onboard, rows, run, send
from tests.world import until

FOREIGN = "SELECT * FROM foreign_messages ORDER BY happened_at, message_sid"
LONG_AGO = "UPDATE foreign_messages SET happened_at = happened_at - interval '61 minutes'"
TOLD = "SELECT times FROM alerts WHERE kind = :kind"


@dataclass(frozen=True, slots=True)
class AtTwilio:
    """An organization's subaccount, and what finds its foreign messages."""

    simulator: TwilioSimulator
    account: Account
    foreign: ForeignMessages
    turns: list[int]
    engine: AsyncEngine
    twilio: Twilio

    def send(self, to: str = "+14155550100", **form: str) -> SentMessage:
        """Sent with the subaccount's own credentials."""
        form = {"To": to, "From": "+15005550006", "Body": "Hello", **form}
        return self.simulator.messages.accept(self.account, form)

    def receive(self, sender: str = "+14155550199") -> SentMessage:
        received = receive(
            self.simulator.state, self.account, "+15005550006", sender, "Yes", media=False
        )
        assert received is not None
        return received

    async def delivered(self) -> None:
        async def none_in_progress() -> bool:
            return not any(each.in_progress for each in self.simulator.state.messages.values())

        await until(none_in_progress, "all delivered")

    async def due(self) -> Walked:
        async with self.engine.connect() as conn:
            return await message_readings.due(
                conn, after="", organizations=1, now=datetime.now(UTC), limit=9
            )

    async def record_prices(self) -> None:
        """What is not older than an hour is not asked for."""

        async def turn() -> None:
            """Without a limit."""

        async def also(organization_id: str, listed: Sequence[At]) -> None:
            await self.foreign.record(organization_id, listed, now=datetime.now(UTC))

        prices = Prices(self.engine, self.twilio, turn, also)
        assert (await prices.record("", now=datetime.now(UTC)))[0] is None

    async def find(self, *, later: timedelta = timedelta(0)) -> int:
        """One pass; returns how many foreign messages are new."""
        after: str | None = ""
        found = 0
        while after is not None:
            readings = await self.foreign.find(
                after, organizations=1, now=datetime.now(UTC) + later
            )
            after, found = readings.after, found + readings.found
        return found


@asynccontextmanager
async def at_twilio(engine: AsyncEngine, **behaviour: object) -> AsyncIterator[AtTwilio]:
    turns: list[int] = []

    async def turn() -> None:
        turns.append(1)

    async with serve(TwilioSimulator()) as simulator, fast_client() as client:
        simulator.state.behaviour.change(
            {"sending_after": 0, "sent_after": 0, "delivered_after": 0, **behaviour}
        )
        twilio = Twilio(
            client=client, account_sid=MAIN_SID, auth_token=MAIN_TOKEN, base_url=simulator.url
        )
        account = simulator.state.open_account("acme")
        await onboard(engine, account=account.sid)
        foreign = ForeignMessages(engine, twilio, turn)
        yield AtTwilio(simulator, account, foreign, turns, engine, twilio)


async def recorded(engine: AsyncEngine) -> list[Mapping[str, object]]:
    return [row._asdict() for row in await rows(engine, FOREIGN)]


async def test_what_the_customers_own_credentials_send_is_recorded_without_its_text(
    engine: AsyncEngine,
) -> None:
    async with at_twilio(engine) as world:
        sent = world.send(Body="Hi! " * 50)
        await world.delivered()

        found = await world.find()

    [row] = await recorded(engine)
    assert found == 1
    assert (row["message_sid"], row["direction"], row["channel"]) == (sent.sid, "outbound", "sms")
    assert (row["number"], row["segments"], row["status"]) == ("+1415***00", 2, "delivered")
    assert row["listed"]
    assert "Hi!" not in str(row)


async def test_a_received_message_is_recorded_with_the_sender_masked(engine: AsyncEngine) -> None:
    async with at_twilio(engine) as world:
        world.receive("+14155550199")
        await world.find()

    [row] = await recorded(engine)
    assert (row["direction"], row["number"]) == ("inbound", "+1415***99")


async def test_a_second_pass_finds_nothing_new_and_tells_nobody_again(engine: AsyncEngine) -> None:
    async with at_twilio(engine) as world:
        for _ in range(3):
            world.send()
        await world.delivered()
        first, second = await world.find(), await world.find(later=timedelta(hours=1))
        world.simulator.billing.advance(timedelta(hours=2).total_seconds())
        world.send()
        await world.delivered()
        third = await world.find(later=timedelta(hours=2))

    assert (first, second, third) == (3, 0, 1)
    assert await number(engine, TOLD, kind=AlertKind.FOREIGN_MESSAGES.value) == 1


async def test_what_tollgate_sent_is_never_foreign(engine: AsyncEngine) -> None:
    async with at_twilio(engine) as world:
        taken = world.send()
        await send(engine, await campaign(engine, messages=1))
        await run(engine, "UPDATE messages SET provider_sid = :sid", sid=taken.sid)
        await world.delivered()

        assert await world.find() == 0

    assert await recorded(engine) == []


async def test_a_message_whose_answer_is_missing_may_be_ours_until_it_is_settled(
    engine: AsyncEngine,
) -> None:
    """Later a second message to the same person is known to be foreign."""
    async with at_twilio(engine) as world:
        await hand_over(engine, await campaign(engine, messages=1))
        await run(engine, "UPDATE messages SET recipient = '+14155550100'")
        ours, other = world.send(), world.send()
        await world.delivered()
        undecided = await world.find()
        await run(
            engine, "UPDATE messages SET status = 'accepted', provider_sid = :sid", sid=ours.sid
        )
        found = await world.find(later=timedelta(hours=1))

    assert (undecided, found) == (0, 1)
    assert [row["message_sid"] for row in await recorded(engine)] == [other.sid]


async def test_nothing_is_foreign_while_a_restored_database_may_have_forgotten_it(
    engine: AsyncEngine,
) -> None:
    async with at_twilio(engine) as world:
        world.send()
        await world.delivered()
        async with engine.begin() as conn:
            await fences.shut(conn, "restored", by="ops")
        fenced = await world.find()
        now = datetime.now(UTC)
        listed = await world.twilio.page_since(world.account.sid, now - timedelta(hours=1))
        assert listed.messages
        await world.foreign.record("acme", listed.messages, now=now)  # as read for prices

    assert (fenced, await recorded(engine)) == (0, [])


async def test_a_list_that_is_longer_than_a_step_is_read_to_its_end(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In later steps, each of which begins where the last one ended, though more is received."""
    monkeypatch.setattr(foreign_messages, "PAGES", 1)
    async with at_twilio(engine) as world:
        for _ in range(2_100):
            world.receive()
        [due] = (await world.due()).due
        first = await world.foreign.read(due, now=datetime.now(UTC))
        world.receive()
        rest = await world.find()
        world.simulator.billing.advance(3600)
        later = await world.find(later=timedelta(hours=1))

    assert (first.found, first.complete) == (1_000, False)
    assert first.found + rest + later == 2_101
    assert await number(engine, "SELECT count(*) FROM foreign_messages") == 2_101


async def test_one_that_only_others_credentials_use_gets_late_prices_too(
    engine: AsyncEngine,
) -> None:
    """It has no message of ours, by which the day's list would be read."""
    async with at_twilio(engine) as world:
        world.send()
        await world.delivered()
        await world.find()
        await run(engine, LONG_AGO)
        world.simulator.state.settle_prices()
        await world.record_prices()

    [row] = await recorded(engine)
    assert row["price_micros"] == 7_500


async def test_twilios_price_is_added_when_it_is_known(engine: AsyncEngine) -> None:
    async with at_twilio(engine) as world:
        world.send()
        await world.delivered()
        await world.find()
        unpriced = await recorded(engine)
        world.simulator.state.settle_prices()
        again = await world.find(later=timedelta(hours=1))

    [row] = await recorded(engine)
    assert [before["price_micros"] for before in unpriced] == [None]
    assert (row["price_micros"], row["price_currency"], again) == (7_500, "USD", 0)


@pytest.mark.parametrize(
    ("rested", "lately_sent", "read"),
    [
        (timedelta(minutes=5), True, 1),
        (timedelta(minutes=5), False, 0),
        (timedelta(minutes=11), False, 1),
    ],
)
async def test_a_subaccount_that_sends_is_read_in_each_pass_and_one_at_rest_more_rarely(
    engine: AsyncEngine, *, rested: timedelta, lately_sent: bool, read: int
) -> None:
    async with at_twilio(engine) as world:
        if lately_sent:
            await send(engine, await campaign(engine, messages=1))
        await world.find()
        before = len(world.turns)
        await world.find(later=rested)

    assert min(1, len(world.turns) - before) == read


async def test_the_first_reading_charges_nobody_for_the_past(engine: AsyncEngine) -> None:
    async with at_twilio(engine) as world:
        await run(engine, "UPDATE organizations SET created_at = created_at - interval '1 year'")
        world.send().created -= 7200
        world.send()
        await world.delivered()
        for message in world.simulator.state.messages.values():
            message.sent = message.created

        assert await world.find() == 1


async def test_an_organization_that_twilio_does_not_list_does_not_hold_up_others(
    engine: AsyncEngine,
) -> None:
    async with at_twilio(engine) as world:
        await onboard(engine, "aaa")
        world.send()
        await world.delivered()

        assert await world.find() == 1

    assert await number(engine, "SELECT count(*) FROM message_readings") == 2
