"""What Twilio charges is read, recorded with revisions, and charged once, by policy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.budgets import Budgets
from activities.audit.passes import Pass
from activities.audit.usage_pass import UsagePass
from activities.carrier.usage import Reading, UsageReader
from db import alerts
from db.billing import blocks
from db.campaigns import prices
from db.carrier import policies, readings
from db.recovery import fences
from domain.alerts import AlertKind
from domain.audit.reconciliation import Subject
from domain.carrier.policies import EVERYBODY, Action, Policy
from domain.lifecycle.standing import Block, Status
from domain.wallet.entries import credit
from providers.errors import ProviderUnavailable
from providers.http import fast_client
from providers.twilio import Twilio
from simulators.serving import serve
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator
from simulators.twilio.billing.books import Entry
from simulators.twilio.billing.charges import receive
from tests.builders import (
    ORGANIZATION,
    balance,
    broken_claims,
    campaign,
    onboard,
    post_one,
    rows,
    run,
    send,
    standing,
    usd,
)

INBOUND = "sms-inbound-longcode"
RENT = "phonenumbers-local"
CENT = 10_000


@dataclass(slots=True)
class Carrier:
    engine: AsyncEngine
    simulator: TwilioSimulator
    reader: UsageReader
    account_sid: str
    calls: list[str]
    twilio: Twilio

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.simulator.state.clock.now(), UTC)

    def today(self, back: int = 0) -> date:
        return self.now.date() - timedelta(days=back)

    def book(self, category: str, micros: int | None, *, back: int = 0, usage: int = 1) -> Entry:
        return self.simulator.state.books.book(
            self.account_sid, category, micros, usage=usage, day=self.today(back)
        )

    def correct(self, entry: Entry, micros: int | None) -> None:
        self.simulator.state.books.correct(entry.number, micros)

    async def read(self) -> Reading:
        """As if it were due, whenever it was read last."""
        await run(self.engine, "UPDATE carrier_readings SET due_at = :now", now=self.now)
        async with self.engine.begin() as conn:
            await readings.add_new(conn, now=self.now)
            (due,) = await readings.take(conn, now=self.now, limit=1)
        return await self.reader.read(due, accounts=1, now=self.now)

    async def policy(
        self, prefix: str, action: Action, of: str = ORGANIZATION, **values: object
    ) -> None:
        async with self.engine.begin() as conn:
            policy = Policy(prefix=prefix, action=action, **values)  # type: ignore[arg-type]
            await policies.put(conn, of, policy)

    async def kinds(self) -> set[str]:
        async with self.engine.connect() as conn:
            return {alert.kind for alert in await alerts.standing(conn, ORGANIZATION)}


@asynccontextmanager
async def a_carrier(engine: AsyncEngine, money: str) -> AsyncIterator[Carrier]:
    calls: list[str] = []

    async def turn(parent: str) -> None:
        calls.append(parent)

    async with serve(TwilioSimulator()) as simulator, fast_client() as client:
        twilio = Twilio(
            client=client, account_sid=MAIN_SID, auth_token=MAIN_TOKEN, base_url=simulator.url
        )
        account = simulator.state.open_account("acme")
        account.created -= 60 * 86_400
        await onboard(engine, balance=money, account=account.sid)
        await run(engine, "UPDATE organizations SET created_at = created_at - interval '60 days'")
        reader = UsageReader(engine, twilio, turn)
        yield Carrier(engine, simulator, reader, account.sid, calls, twilio)


@pytest_asyncio.fixture
async def carrier(engine: AsyncEngine) -> AsyncIterator[Carrier]:
    async with a_carrier(engine, "10") as made:
        yield made


async def entries(engine: AsyncEngine) -> list[tuple[str, int, str]]:
    query = (
        "SELECT kind, amount_micros, reference_id FROM ledger_entries"
        " WHERE kind LIKE 'carrier%' ORDER BY seq"
    )
    return [tuple(row) for row in await rows(engine, query)]


async def test_what_twilio_charges_is_one_entry_of_its_own(carrier: Carrier) -> None:
    carrier.book(INBOUND, 8_300)

    await carrier.read()

    day = carrier.today().isoformat()
    assert await entries(carrier.engine) == [
        ("carrier_charge", -8_300, f"carrier:{day}:{INBOUND}:1")
    ]
    assert await balance(carrier.engine) == usd("9.9917")
    assert await broken_claims(carrier.engine) == set()


async def test_reading_again_changes_nothing(carrier: Carrier) -> None:
    carrier.book(INBOUND, 8_300)
    await carrier.read()

    again = await carrier.read()

    assert (again.calls, again.changed, again.moved_micros) == (1, 0, 0)
    assert len(await entries(carrier.engine)) == 1


async def test_a_correction_up_is_charged_and_one_down_is_returned(carrier: Carrier) -> None:
    entry = carrier.book(RENT, 1_150_000, back=3)
    await carrier.read()
    carrier.correct(entry, 1_500_000)
    await carrier.read()
    carrier.correct(entry, 1_000_000)
    await carrier.read()

    assert [(kind, micros) for kind, micros, _ in await entries(carrier.engine)] == [
        ("carrier_charge", -1_150_000),
        ("carrier_charge", -350_000),
        ("carrier_refund", 500_000),
    ]
    query = "SELECT revision, price_micros FROM carrier_usage WHERE category = :of ORDER BY 1"
    assert [tuple(row) for row in await rows(carrier.engine, query, of=RENT)] == [
        (1, 1_150_000), (2, 1_500_000), (3, 1_000_000),
    ]  # fmt: skip
    assert await broken_claims(carrier.engine) == set()


async def test_a_charge_that_twilio_withdraws_is_returned(carrier: Carrier) -> None:
    entry = carrier.book(RENT, 1_150_000, back=3)
    await carrier.read()
    carrier.correct(entry, 0)

    await carrier.read()

    assert await balance(carrier.engine) == usd("10")


async def test_a_correction_between_categories_is_noticed_though_the_days_total_stays(
    carrier: Carrier,
) -> None:
    await carrier.policy("phonenumbers", Action.ABSORB)
    rent, inbound = carrier.book(RENT, 1_000_000, back=3), carrier.book(INBOUND, 500_000, back=3)
    await carrier.read()
    carrier.correct(rent, 600_000)
    carrier.correct(inbound, 900_000)
    unnoticed = await carrier.read()
    carrier.simulator.state.clock.offset += 86_400

    noticed = await carrier.read()
    again = await carrier.read()

    assert (unnoticed.calls, noticed.moved_micros) == (1, 400_000)
    assert (again.calls, again.compared) == (1, False)
    assert await balance(carrier.engine) == usd("9.10")
    assert await broken_claims(carrier.engine) == set()


async def test_prices_of_own_messages_are_met_without_other_usage(carrier: Carrier) -> None:
    """The list that has them was read since, and nothing else of the day changed."""
    sent = await send(carrier.engine, await campaign(carrier.engine, messages=2))
    await carrier.read()
    carrier.book("sms-outbound-longcode", 2 * 7_500, usage=2)
    await carrier.read()
    await priced(carrier, [each.provider_sid for each in sent], 2_500)
    unnoticed = await carrier.read()
    async with carrier.engine.begin() as conn:
        await prices.note_listed(conn, ORGANIZATION, carrier.today(), None, now=carrier.now)

    noticed = await carrier.read()

    assert (unnoticed.moved_micros, noticed.moved_micros) == (0, 10_000)


async def test_a_day_that_twilio_lists_no_longer_costs_nothing(carrier: Carrier) -> None:
    carrier.book(RENT, 1_150_000, back=3)
    await carrier.read()
    carrier.simulator.state.books.clear()
    carrier.book(INBOUND, 1_000, back=1)
    carrier.simulator.state.accounts[
        carrier.account_sid
    ].created = carrier.simulator.state.clock.now()

    await carrier.read()

    assert await balance(carrier.engine) == usd("9.999")


async def test_ten_concurrent_readers_charge_once(carrier: Carrier) -> None:
    carrier.book(INBOUND, 8_300)
    async with carrier.engine.begin() as conn:
        await readings.add_new(conn, now=carrier.now)
        (due,) = await readings.take(conn, now=carrier.now, limit=1)

    readings_ = await asyncio.gather(
        *(carrier.reader.read(due, accounts=1, now=carrier.now) for _ in range(10)),
        return_exceptions=True,
    )

    # under load some wait too long for the lock, and try again when they are due
    assert all(isinstance(each, Reading | DBAPIError) for each in readings_)
    assert len(await entries(carrier.engine)) == 1


async def test_own_messages_are_paid_already(carrier: Carrier) -> None:
    sent = await send(carrier.engine, await campaign(carrier.engine, messages=3))
    carrier.book("sms-outbound-longcode", 3 * 7_500, usage=3)
    await carrier.read()
    assert await entries(carrier.engine) == []

    await priced(carrier, [each.provider_sid for each in sent], 7_500)
    await carrier.read()

    assert await entries(carrier.engine) == []
    assert await costs(carrier.engine) == (22_500, 22_500, 0, 0)


async def priced(carrier: Carrier, sids: list[str | None], micros: int) -> None:
    await run(
        carrier.engine,
        "UPDATE messages SET provider_price_micros = :micros, provider_price_currency = 'USD',"
        " billed_on = :day WHERE provider_sid = ANY(:sids)",
        micros=micros,
        day=carrier.today(),
        sids=sids,
    )


async def costs(engine: AsyncEngine) -> tuple[int, int, int, int]:
    """cost, explained, absorbed, due: of the newest rows of all categories."""
    query = (
        "SELECT sum(cost_micros), sum(explained_micros), sum(absorbed_micros), sum(due_micros)"
        " FROM (SELECT DISTINCT ON (day, category) * FROM carrier_charges"
        " ORDER BY day, category, revision DESC) newest"
    )
    (row,) = await rows(engine, query)
    return tuple(int(each or 0) for each in row)  # type: ignore[return-value]


async def test_messages_past_tollgate_are_charged_while_ours_have_no_price_yet(
    carrier: Carrier,
) -> None:
    await send(carrier.engine, await campaign(carrier.engine, messages=3))
    carrier.book("sms-outbound-longcode", 5 * 7_500, usage=5)

    await carrier.read()

    assert [micros for _, micros, _ in await entries(carrier.engine)] == [-15_000]


async def test_a_carriers_fee_within_the_messages_price_is_paid_with_it(carrier: Carrier) -> None:
    sent = await send(carrier.engine, await campaign(carrier.engine, messages=1))
    carrier.book("sms-outbound-longcode", 7_500)
    carrier.book("sms-messages-carrierfees", 2_000)
    await priced(carrier, [each.provider_sid for each in sent], 9_500)

    await carrier.read()

    assert await entries(carrier.engine) == []


async def test_a_carriers_fee_billed_apart_is_charged(carrier: Carrier) -> None:
    sent = await send(carrier.engine, await campaign(carrier.engine, messages=1))
    carrier.book("sms-outbound-longcode", 7_500)
    carrier.book("sms-messages-carrierfees", 2_000)
    await priced(carrier, [each.provider_sid for each in sent], 7_500)

    await carrier.read()

    assert [micros for _, micros, _ in await entries(carrier.engine)] == [-2_000]


async def test_a_rate_below_cost_is_the_companys_choice(carrier: Carrier) -> None:
    sent = await send(carrier.engine, await campaign(carrier.engine, messages=1))
    carrier.book("sms-outbound-longcode", 3 * CENT)
    await priced(carrier, [each.provider_sid for each in sent], 3 * CENT)

    await carrier.read()

    assert await entries(carrier.engine) == []
    assert await costs(carrier.engine) == (3 * CENT, CENT, 2 * CENT, 0)


async def test_a_message_that_was_refunded_and_sent_all_the_same_is_charged(
    carrier: Carrier,
) -> None:
    sent = await send(carrier.engine, await campaign(carrier.engine, messages=1))
    await run(carrier.engine, "UPDATE messages SET status = 'lost'")
    carrier.book("sms-outbound-longcode", 7_500)
    await priced(carrier, [each.provider_sid for each in sent], 7_500)

    await carrier.read()

    assert [micros for _, micros, _ in await entries(carrier.engine)] == [-7_500]


async def test_a_category_nobody_knows_is_charged_at_cost_and_alerted_once(
    carrier: Carrier,
) -> None:
    carrier.book("holograms", 5_000, back=1)
    await carrier.read()
    assert AlertKind.CARRIER_CATEGORY_UNKNOWN in await carrier.kinds()
    carrier.book("holograms", 5_000)

    await carrier.read()

    assert await balance(carrier.engine) == usd("9.99")
    (row,) = await rows(
        carrier.engine, "SELECT times FROM alerts WHERE kind = 'carrier_category_unknown'"
    )
    assert row.times == 1


async def test_a_policy_marks_up_prices_absorbs_or_forbids(carrier: Carrier) -> None:
    await carrier.policy("sms-inbound", Action.CHARGE, factor=Decimal("1.5"))
    await carrier.policy("verify", Action.CHARGE, unit_price_micros=60_000)
    await carrier.policy("phonenumbers", Action.ABSORB, EVERYBODY)
    await carrier.policy("calls", Action.FORBID)
    carrier.book(INBOUND, 8_300)
    carrier.book("verify-voice-sms", 100_000, usage=2)
    carrier.book(RENT, 1_150_000)
    carrier.book("calls-outbound", 14_000)

    await carrier.read()

    charged = {
        reference.split(":")[2]: -micros for _, micros, reference in await entries(carrier.engine)
    }
    assert charged == {INBOUND: 12_450, "verify-voice-sms": 120_000, "calls-outbound": 14_000}
    now = await standing(carrier.engine)
    assert (now.status, now.blocks) == (Status.SUSPENDED, frozenset({Block.ADMIN}))
    assert AlertKind.CARRIER_FORBIDDEN in await carrier.kinds()

    async with carrier.engine.begin() as conn:
        for reference in ("", "carrier:calls-outbound"):
            lifting = blocks.unblock(
                conn, ORGANIZATION, Block.ADMIN, reference, by="jo", now=datetime.now(UTC)
            )
            await lifting
            if not reference:
                assert AlertKind.CARRIER_FORBIDDEN in await carrier.kinds()
    assert AlertKind.CARRIER_FORBIDDEN not in await carrier.kinds()


async def test_the_alert_about_unknown_categories_clears_when_each_has_a_policy(
    carrier: Carrier,
) -> None:
    carrier.book("holograms", 5_000)
    carrier.book("telepathy", 5_000)
    await carrier.read()

    await carrier.policy("holograms", Action.CHARGE)
    still = await carrier.kinds()
    await carrier.policy("telepathy", Action.ABSORB, EVERYBODY)

    assert AlertKind.CARRIER_CATEGORY_UNKNOWN in still
    assert AlertKind.CARRIER_CATEGORY_UNKNOWN not in await carrier.kinds()


async def test_a_changed_policy_counts_from_the_next_day_on(carrier: Carrier) -> None:
    entry = carrier.book(RENT, 1_000_000, back=2)
    await carrier.read()
    await carrier.policy("phonenumbers", Action.ABSORB)
    carrier.correct(entry, 1_200_000)
    carrier.book(RENT, 1_000_000)

    await carrier.read()

    assert await balance(carrier.engine) == usd("8.80")


async def test_another_currency_waits_for_its_rate_and_is_charged_then(carrier: Carrier) -> None:
    carrier.simulator.state.behaviour.currency = "EUR"
    carrier.book(INBOUND, 10_000)
    await carrier.read()
    assert await entries(carrier.engine) == []
    assert AlertKind.CARRIER_NOT_CHARGED in await carrier.kinds()
    async with carrier.engine.begin() as conn:
        await policies.put_exchange_rate(conn, "EUR", "USD", Decimal("1.1"))

    await carrier.read()

    assert [micros for _, micros, _ in await entries(carrier.engine)] == [-11_000]
    assert AlertKind.CARRIER_NOT_CHARGED not in await carrier.kinds()


async def test_a_price_that_stays_missing_is_alerted_and_charged_when_it_comes(
    carrier: Carrier,
) -> None:
    entry = carrier.book("lookups", None, back=3)
    carrier.book(INBOUND, 5_000, back=3)
    await carrier.read()
    assert AlertKind.CARRIER_NOT_CHARGED in await carrier.kinds()
    carrier.correct(entry, 5_000)

    await carrier.read()

    assert await balance(carrier.engine) == usd("9.99")
    assert await carrier.kinds() == set()


async def test_a_price_below_zero_is_no_ones_charge_and_alerted(carrier: Carrier) -> None:
    carrier.book(INBOUND, 8_300)
    carrier.book("lookups", -5_000)

    await carrier.read()

    assert [micros for _, micros, _ in await entries(carrier.engine)] == [-8_300]
    assert await carrier.kinds() == {AlertKind.CARRIER_NOT_CHARGED}


async def test_what_the_wallet_cannot_pay_is_owed_and_a_suspended_one_goes_on_being_billed(
    engine: AsyncEngine,
) -> None:
    async with a_carrier(engine, "1") as carrier:
        carrier.book(RENT, 1_150_000, back=1)
        await carrier.read()
        assert (await standing(engine)).blocks == {Block.FUNDS}
        carrier.book(RENT, 1_150_000)
        await carrier.read()
        await post_one(engine, credit("more", usd("2")))

        assert await broken_claims(engine) == set()
        query = "SELECT sum(amount_micros) FROM carrier_debts"
        assert [tuple(row) for row in await rows(engine, query)] == [(1_300_000,)]


async def test_yesterdays_last_usage_is_charged_to_yesterday(carrier: Carrier) -> None:
    """Twilio's days are UTC, and its records lag: what midnight hides is seen later."""
    carrier.simulator.state.behaviour.usage_lag = 1800
    carrier.book(INBOUND, 8_300)
    await carrier.read()
    assert await entries(carrier.engine) == []
    day = carrier.today()
    carrier.simulator.state.clock.offset += 86_400

    await carrier.read()

    assert [reference for _, _, reference in await entries(carrier.engine)] == [
        f"carrier:{day.isoformat()}:{INBOUND}:1"
    ]


async def test_an_older_answer_never_replaces_a_newer_one(carrier: Carrier) -> None:
    carrier.book(INBOUND, 8_300)
    await carrier.read()
    carrier.simulator.state.behaviour.usage_lag = 3600  # a replica that is behind

    reading = await carrier.read()

    assert reading.changed == 0
    assert len(await entries(carrier.engine)) == 1


async def test_nothing_before_the_organization_is_charged(carrier: Carrier) -> None:
    await run(carrier.engine, "UPDATE organizations SET created_at = clock_timestamp()")
    carrier.book(RENT, 1_150_000, back=1)
    carrier.book(INBOUND, 8_300)

    await carrier.read()

    assert await balance(carrier.engine) == usd("9.9917")


async def whole_pass(carrier: Carrier) -> Pass:
    usage_pass = UsagePass(carrier.engine, carrier.twilio, Budgets(carrier.engine))
    at = Pass(subject=Subject.USAGE)
    while not at.done:
        at = await usage_pass.step(at)
    return at


async def test_a_pass_reads_every_subaccount_that_is_due(carrier: Carrier) -> None:
    carrier.book(INBOUND, 8_300)

    done = await whole_pass(carrier)
    again = await whole_pass(carrier)

    assert (done.done, done.compared, done.differing) == (True, 1, 1)
    assert (again.done, again.compared) == (True, 0)
    assert len(await entries(carrier.engine)) == 1


async def test_a_subaccount_at_rest_costs_one_call(carrier: Carrier) -> None:
    reading = await carrier.read()

    assert (reading.calls, carrier.calls) == (1, [MAIN_SID])


async def test_received_messages_are_charged(carrier: Carrier) -> None:
    account = carrier.simulator.state.accounts[carrier.account_sid]
    for _ in range(25):
        receive(carrier.simulator.state, account, "+15005550006", "+15551230000", "Hi", media=False)

    await carrier.read()

    assert await balance(carrier.engine) == usd("9.7925")


DAILY = "/2010-04-01/Accounts/.*/Usage/Records/Daily"


async def test_a_page_that_fails_half_way_records_nothing_and_is_read_again(
    carrier: Carrier,
) -> None:
    for number in range(1_100):  # more categories than a page has
        carrier.book(f"hologram-{number}", 10)
    carrier.simulator.faults.add("503", path=DAILY, skip=2, times=1)
    with pytest.raises(ProviderUnavailable):
        await carrier.read()
    assert await rows(carrier.engine, "SELECT 1 FROM carrier_usage") == []

    await carrier.read()

    assert await costs(carrier.engine) == (11_000, 0, 0, 11_000)


async def test_three_failed_readings_are_alerted_and_do_not_stop_the_others(
    carrier: Carrier,
) -> None:
    other = carrier.simulator.state.open_account("other")
    await onboard(carrier.engine, "other", account=other.sid)
    carrier.simulator.faults.add("503", path=DAILY.replace(".*", carrier.account_sid), times=3)
    async with carrier.engine.begin() as conn:
        await readings.add_new(conn, now=carrier.now)
    for number in range(4):
        await run(carrier.engine, "UPDATE carrier_readings SET due_at = :now", now=carrier.now)
        await carrier.reader.read_due(accounts=2, now=carrier.now)
        assert (AlertKind.CARRIER_NOT_READ in await carrier.kinds()) is (number == 2)

    query = "SELECT failures FROM carrier_readings WHERE read_at IS NOT NULL"
    assert [row.failures for row in await rows(carrier.engine, query)] == [0, 0]


async def test_while_the_fence_is_shut_nothing_is_charged(carrier: Carrier) -> None:
    """The database may have forgotten what it sent, and would call it foreign."""
    carrier.book("sms-outbound-longcode", 7_500)
    async with carrier.engine.begin() as conn:
        await readings.add_new(conn, now=carrier.now)
        await fences.shut(conn, "restored", by="ann")

    assert await carrier.reader.read_due(accounts=1, now=carrier.now) == (0, 0)
    assert await entries(carrier.engine) == []
