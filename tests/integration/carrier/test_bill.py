"""The carrier's bill: Twilio's total = paid + absorbed + unpaid, to the micro, whatever happens."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.audit.bill_checks import BILL_CHECKS
from db.audit.debt_checks import DEBT_CHECKS
from db.billing import receivables
from db.carrier import (
    bill,
    charges,
    foreign_charges,
    foreign_messages,
    policies,
    readings,
    segment_differences,
    usage,
)
from db.lifecycle import organizations, standings
from db.wallet import wallets
from domain.campaigns.telephony import DeliveryStatus, SentMessage
from domain.carrier.bill import ApartSource, Bill, month_of, parse_month
from domain.carrier.categories import TOTAL
from domain.carrier.policies import Action, Policy
from domain.carrier.usage import UsageRecord
from domain.money import Money
from domain.wallet.debts import Source
from domain.wallet.entries import credit
from tests.builders import (
    NOON,
    ORGANIZATION,
    admin_block,
    balance,
    broken_claims,
    campaign,
    onboard,
    organization,
    run,
    send,
    sid_of,
    usd,
)
from tests.integration.cli.test_commands import tollgate as command
from tests.integration.conftest import Tollgate
from tests.soak import Examples, also_soaking

DAY = date(2026, 5, 4)
THEN = datetime(2026, 5, 4, 12, tzinfo=UTC)
INBOUND, RENT, FEE = "sms-inbound-longcode", "phonenumbers-local", "failed-message-processing-fee"


def record(category: str, micros: int, day: date = DAY, *, currency: str = "USD") -> UsageRecord:
    return UsageRecord(
        day=day, category=category, price_micros=micros, currency=currency, usage=Decimal(2)
    )


async def billed(
    conn: AsyncConnection,
    prices: dict[str, int],
    day: date = DAY,
    *,
    more: int = 0,
    currency: str = "USD",
) -> charges.Settled:
    """Twilio says so; `more` is what its total has and no category."""
    total = sum(prices.values()) + more
    records = [
        record(name, micros, day, currency=currency)
        for name, micros in [*prices.items(), (TOTAL, total)]
    ]
    await standings.lock(conn, ORGANIZATION)
    await usage.record(conn, ORGANIZATION, day, records)
    return await charges.settle(conn, ORGANIZATION, day, now=THEN)


async def bill_now(engine: AsyncEngine, of: str | None = ORGANIZATION) -> Bill:
    async with engine.connect() as conn:
        return await bill.get(conn, month_of(DAY), of)


def sums(found: Bill) -> tuple[int, int, int, int]:
    (total,) = found.totals
    return total.charged_micros, total.paid_micros, total.absorbed_micros, total.unpaid_micros


async def test_everything_is_paid_or_absorbed(engine: AsyncEngine) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        await billed(conn, {INBOUND: 500_000, FEE: 1_000})

    found = await bill_now(engine)

    assert sums(found) == (501_000, 500_000, 1_000, 0)
    assert found.settled
    assert [(line.category, line.taken_micros) for line in found.lines] == [
        (INBOUND, 500_000),
        (FEE, 0),
    ]


async def test_a_markup_is_taken_and_no_cost(engine: AsyncEngine) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        policy = Policy(prefix="sms", action=Action.CHARGE, factor=Decimal(2))
        await policies.put(conn, ORGANIZATION, policy)
        await billed(conn, {INBOUND: 500_000})

    found = await bill_now(engine)

    assert sums(found) == (500_000, 500_000, 0, 0)
    assert found.lines[0].taken_micros == 1_000_000


async def test_what_is_owed_is_unpaid_until_money_covers_it(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.20")
    async with engine.begin() as conn:
        await billed(conn, {INBOUND: 500_000})
    owing = await bill_now(engine)
    async with engine.begin() as conn:
        await wallets.post(conn, ORGANIZATION, [credit("more", usd("1"))])
        await receivables.recover(conn, ORGANIZATION, now=NOON)

    covered = await bill_now(engine)

    assert sums(owing) == (500_000, 200_000, 0, 300_000)
    assert not owing.settled
    assert sums(covered) == (500_000, 500_000, 0, 0)


async def test_what_an_operator_waives_is_absorbed(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.20")
    async with engine.begin() as conn:
        await billed(conn, {INBOUND: 500_000})
        await receivables.waive(conn, ORGANIZATION, Source.CARRIER, by="ann", now=NOON)

    assert sums(await bill_now(engine)) == (500_000, 200_000, 300_000, 0)


async def test_what_no_category_explains_is_unpaid_and_named(engine: AsyncEngine) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        await billed(conn, {INBOUND: 500_000}, more=7)

    found = await bill_now(engine)

    assert sums(found) == (500_007, 500_000, 0, 7)
    assert found.lines[-1].category == "totalprice"
    assert not found.settled


async def test_a_correction_covers_what_is_owed_for_its_own_category_first(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    async with engine.begin() as conn:
        await billed(conn, {RENT: 700_000})
        await billed(conn, {RENT: 700_000, INBOUND: 900_000})
        await billed(conn, {RENT: 700_000, INBOUND: 0})
        owed = await receivables.owed(conn, ORGANIZATION)

    assert owed.carrier == 700_000
    assert sums(await bill_now(engine)) == (700_000, 0, 0, 700_000)


async def test_a_micro_of_which_part_is_waived_and_the_rest_paid_is_not_unpaid(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0.000001")
    async with engine.begin() as conn:
        policy = Policy(prefix="sms", action=Action.CHARGE, factor=Decimal(2))
        await policies.put(conn, ORGANIZATION, policy)
        await billed(conn, {INBOUND: 1})
        await receivables.waive(conn, ORGANIZATION, Source.CARRIER, by="ann", now=NOON)

    assert sums(await bill_now(engine)) == (1, 1, 0, 0)


async def test_what_is_corrected_after_it_was_waived_is_absorbed(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    async with engine.begin() as conn:
        await billed(conn, {INBOUND: 500_000})
        await receivables.waive(conn, ORGANIZATION, Source.CARRIER, by="ann", now=NOON)
        await billed(conn, {INBOUND: 300_000})

    assert sums(await bill_now(engine)) == (300_000, 0, 300_000, 0)
    assert await balance(engine) == usd("0")
    assert await broken_claims(engine) == set()


async def test_a_correction_reduces_what_was_waived_before_it_returns_what_was_paid(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0.20")
    async with engine.begin() as conn:
        await billed(conn, {INBOUND: 500_000})
        await receivables.waive(conn, ORGANIZATION, Source.CARRIER, by="ann", now=NOON)
        await billed(conn, {INBOUND: 100_000})

    assert sums(await bill_now(engine)) == (100_000, 100_000, 0, 0)
    assert await balance(engine) == usd("0.10")
    assert await broken_claims(engine) == set()


async def test_segments_that_are_owed_are_unpaid(engine: AsyncEngine) -> None:
    """A message of a cent has a cent for its second segment owed, and costs 1.5 cents."""
    await onboard(engine, balance="0.01")
    (sent,) = await send(engine, await campaign(engine, messages=1))
    await run(
        engine,
        "UPDATE messages SET provider_price_micros = 15000, provider_price_currency = 'USD',"
        " billed_on = :day, sending_at = :at",
        day=DAY,
        at=THEN,
    )
    async with engine.begin() as conn:
        await segment_differences.settle(conn, ORGANIZATION, {sid_of(sent): 2}, now=THEN)
        await billed(conn, {"sms-outbound-longcode": 15_000})
    owing = await bill_now(engine)
    async with engine.begin() as conn:
        await receivables.waive(conn, ORGANIZATION, Source.CARRIER, by="ann", now=THEN)
    waived = await bill_now(engine)

    assert sums(owing) == (15_000, 10_000, 0, 5_000)
    assert sums(waived) == (15_000, 10_000, 5_000, 0)
    (segments,) = owing.apart
    assert (segments.source, segments.charged_micros, segments.owed_micros) == (
        ApartSource.SEGMENTS,
        10_000,
        10_000,
    )
    assert sums(await bill_now(engine, None)) == sums(waived)
    assert (owing.settled, waived.settled) == (False, True)


async def past_tollgate(conn: AsyncConnection, micros: int) -> None:
    sent = SentMessage(
        sid="SM1", account_sid="", to="+14155550100", body="", price=Money(micros, "USD"),
        status=DeliveryStatus.DELIVERED, segments=1, created_at=THEN, sent_at=THEN,
    )  # fmt: skip
    await readings.add_new(conn, now=THEN)
    await conn.execute(text("UPDATE carrier_readings SET charged_from = NULL"))
    await foreign_messages.record(conn, ORGANIZATION, [sent], now=THEN)
    await foreign_charges.charge(conn, ORGANIZATION, now=THEN)


async def shown_by_usage(conn: AsyncConnection, micros: int) -> None:
    settled = await billed(conn, {"sms-outbound-longcode": micros})
    await foreign_charges.give_back(
        conn, ORGANIZATION, DAY, as_of=THEN, now=THEN, charged_micros=settled.moved_micros
    )


async def test_what_is_owed_for_messages_past_tollgate_is_named_before_the_usage_shows_them(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0.02")
    async with engine.begin() as conn:
        await past_tollgate(conn, 30_000)
        early = await bill.get(conn, month_of(DAY), ORGANIZATION)
        await shown_by_usage(conn, 30_000)
        late = await bill.get(conn, month_of(DAY), ORGANIZATION)

    (apart,) = early.apart
    assert (apart.source, apart.charged_micros, apart.owed_micros) == (
        ApartSource.FOREIGN_MESSAGES,
        30_000,
        10_000,
    )
    assert not early.settled
    assert (late.apart, sums(late)) == ([], (30_000, 20_000, 0, 10_000))
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize(
    ("usage_micros", "more", "expected", "left"),
    [
        (30_000, "0", (30_000, 0, 30_000, 0), "0"),
        (20_000, "0", (20_000, 0, 20_000, 0), "0"),
        (50_000, "0", (50_000, 0, 30_000, 20_000), "0"),
        (0, "0", (0, 0, 0, 0), "0"),
        (30_000, "1", (30_000, 0, 30_000, 0), "1"),
        (20_000, "1", (20_000, 0, 20_000, 0), "1"),
    ],
)
async def test_what_was_waived_of_a_message_is_waived_of_its_usage(
    engine: AsyncEngine,
    usage_micros: int,
    more: str,
    expected: tuple[int, int, int, int],
    left: str,
) -> None:
    await onboard(engine, balance="0")
    async with engine.begin() as conn:
        await past_tollgate(conn, 30_000)
        await receivables.waive(conn, ORGANIZATION, Source.CARRIER, by="ann", now=THEN)
        if more != "0":
            await wallets.post(conn, ORGANIZATION, [credit("more", usd(more))])
        await shown_by_usage(conn, usage_micros)

    assert sums(await bill_now(engine)) == expected
    assert await balance(engine) == usd(left)
    assert await broken_claims(engine) == set()


async def test_another_month_is_another_bill(engine: AsyncEngine) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        await billed(conn, {INBOUND: 1}, date(2026, 4, 30))
        await billed(conn, {INBOUND: 2}, date(2026, 5, 31))
        await billed(conn, {INBOUND: 4}, date(2026, 6, 1))

    assert sums(await bill_now(engine)) == (2, 2, 0, 0)


async def test_the_installations_bill_is_that_of_all(engine: AsyncEngine) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        await billed(conn, {INBOUND: 500_000})

    assert sums(await bill_now(engine, None)) == (500_000, 500_000, 0, 0)


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-01", "2026-01-01", ""])
def test_a_month_has_one_form(text: str) -> None:
    assert parse_month(text) is None


def test_a_month_ends_on_its_last_day() -> None:
    ends = {parse_month(text).last.day for text in ("2026-02", "2028-02", "2026-12")}  # type: ignore[union-attr]
    assert ends == {28, 29, 31}


@dataclass(frozen=True)
class Step:
    what: str
    category: str
    micros: int
    day: int


EUROS = 3
"""What Twilio charges on this day is in another currency, which has no rate at first."""
STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(["bill", "bill", "bill", "credit", "suspend", "waive", "rate"]),
        category=st.sampled_from(["sms-inbound", INBOUND, RENT, FEE, "calls", "holograms"]),
        micros=st.integers(0, 3_000_000),
        day=st.integers(0, EUROS),
    ),
    max_size=12,
)


@also_soaking
@settings(
    max_examples=Examples.of(25, soaking=300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
async def test_any_sequence_adds_up(
    engine: AsyncEngine,
    soaking: bool,
    steps: list[Step],
) -> None:
    async with engine.connect() as conn:  # never committed
        created = organization("acme")
        await organizations.create(conn, created)
        policy = Policy(prefix="calls", action=Action.CHARGE, factor=Decimal("1.3"))
        await policies.put(conn, ORGANIZATION, policy)
        said: dict[int, dict[str, int]] = {}
        for number, step in enumerate(steps):
            match step.what:
                case "bill":
                    day = said.setdefault(step.day, {})
                    day[step.category] = step.micros
                    await billed(conn, day, day_of(step), currency=currency_of(step))
                case "rate":
                    rate = Decimal(step.micros + 1) / 1_000_000
                    await policies.put_exchange_rate(conn, "EUR", "USD", rate)
                    await charges.settle(conn, ORGANIZATION, DAY + timedelta(EUROS), now=THEN)
                case "credit":
                    money = Money(step.micros + 1, "USD")
                    await wallets.post(conn, ORGANIZATION, [credit(f"c{number}", money)])
                    await receivables.recover(conn, ORGANIZATION, now=NOON)
                case "suspend":
                    await standings.lock(conn, ORGANIZATION)
                    await standings.place_block(conn, ORGANIZATION, admin_block())
                case _:
                    await receivables.waive(conn, ORGANIZATION, Source.CARRIER, by="ann", now=NOON)
        found = await bill.get(conn, month_of(DAY), ORGANIZATION)
        owed = await receivables.owed(conn, ORGANIZATION)
        wallet = await wallets.get(conn, ORGANIZATION)
        broken = [
            check.claim
            for check in (*DEBT_CHECKS, *BILL_CHECKS)
            # what has no exchange rate is named by another one
            if (check.guarantee == 4 or check is BILL_CHECKS[0])
            and (await conn.execute(text(check.on_everything))).one()[1]
        ]

    assert broken == []
    totals = {total.currency: total for total in found.totals}
    for currency, days in (("USD", range(EUROS)), ("EUR", [EUROS])):
        total = sum(sum(said.get(day, {}).values()) for day in days)
        if currency in totals:
            assert totals[currency].charged_micros == total
            assert totals[currency].missing_micros == 0
        else:
            assert total == 0
    if owed.carrier:
        assert not found.settled
    for line in found.lines:
        assert min(line.paid_micros, line.absorbed_micros, line.unpaid_micros) >= 0
    assert wallet is not None
    assert wallet.balance_micros >= 0


def day_of(step: Step) -> date:
    return DAY + timedelta(days=step.day)


def currency_of(step: Step) -> str:
    return "EUR" if step.day == EUROS else "USD"


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland", "Europe/London"])
@pytest.mark.parametrize(
    "day",
    [date(2026, 3, 8), date(2026, 11, 1), date(2026, 4, 5), date(2026, 9, 27), date(2026, 3, 29),
     date(2026, 10, 25), date(2026, 2, 28), date(2026, 12, 31)],
)  # fmt: skip
async def test_twilios_days_are_utc_wherever_the_clocks_change(
    engine: AsyncEngine, zone: str, day: date
) -> None:
    """A message a second before midnight (UTC), and one at midnight, at the ends of months and where
    summer time begins and ends.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    days = (day, midnight.date())
    async with engine.connect() as conn:  # never committed
        await conn.execute(text(f"SET LOCAL TimeZone = '{zone}'"))
        await organizations.create(conn, organization("acme"))
        for at in (midnight - timedelta(seconds=1), midnight):
            await conn.execute(SENT, {"at": at})
        settled = [await billed(conn, {"sms-outbound-longcode": 7_500}, each) for each in days]
        found = [await bill.get(conn, month_of(each), ORGANIZATION) for each in days]

    assert [each.moved_micros for each in settled] == [0, 0]
    charged = 7_500 * (2 if month_of(days[0]) == month_of(days[1]) else 1)
    assert [sums(each) for each in found] == [(charged, charged, 0, 0)] * 2


SENT = text("""
    INSERT INTO messages (organization_id, recipient, body, segments, price_micros, status, attempt,
        provider_price_micros, provider_price_currency, idempotency_key, sending_at)
    VALUES ('acme', '+14155550100', 'x', 1, 10000, 'accepted', 1, 7500, 'USD', CAST(:at AS text), :at)
""")


async def test_the_bill_is_answered_by_the_api(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    async with tollgate.services.engine.begin() as conn:
        await wallets.post(conn, ORGANIZATION, [credit("opening", usd("10"))])
        await billed(conn, {INBOUND: 500_000})

    answer = await tollgate.ask("GET", "/v1/organizations/acme/carrier-bill?month=2026-05")
    everybodys = await tollgate.ask("GET", "/v1/carrier-bill?month=2026-05")

    assert answer.status_code == 200
    assert answer.json() == {
        "month": "2026-05",
        "settled": True,
        "lines": [
            {
                "category": INBOUND,
                "currency": "USD",
                "charged": "0.50",
                "paid": "0.50",
                "absorbed": "0.00",
                "unpaid": "0.00",
                "taken": "0.50",
                "account_sid": None,
                "account": None,
            }
        ],
        "totals": [
            {
                "currency": "USD",
                "charged": "0.50",
                "paid": "0.50",
                "absorbed": "0.00",
                "unpaid": "0.00",
            }
        ],
        "apart": [],
        "messages": [],
    }
    assert everybodys.json() == answer.json()
    for path in ("/v1/organizations/acme/carrier-bill?month=2026-13", "/v1/carrier-bill?month=x"):
        assert (await tollgate.ask("GET", path)).status_code == 422
    unknown = await tollgate.ask("GET", "/v1/organizations/nobody/carrier-bill")
    assert unknown.status_code == 404


async def test_policies_are_set_by_the_api(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    own = "/v1/organizations/acme/carrier-policies"
    put = await tollgate.ask("PUT", f"{own}/sms-inbound", {"action": "charge", "factor": "1.20"})
    everybody = {"action": "absorb"}
    assert (await tollgate.ask("PUT", "/v1/carrier-policies/*", everybody)).status_code == 200
    rate = {"rate": "1.085"}
    path = "/v1/carrier-exchange-rates/EUR/USD"
    assert (await tollgate.ask("PUT", path, rate)).status_code == 204

    listed = await tollgate.ask("GET", own)

    policy = {
        "category": "sms-inbound", "action": "charge", "factor": "1.2", "unit_price": None
    }  # fmt: skip
    assert put.json() == policy
    assert listed.json()["organization"] == [policy]
    assert [each["category"] for each in listed.json()["everybody"]] == ["*"]
    assert (await tollgate.ask("DELETE", f"{own}/sms-inbound")).status_code == 204
    assert (await tollgate.ask("DELETE", f"{own}/sms-inbound")).status_code == 404
    for body in (
        {"action": "absorb", "factor": "2"},
        {"action": "charge", "factor": "0"},
        {"action": "charge", "factor": "x"},
        {"action": "charge", "factor": "2", "unit_price": "1"},
        {"action": "steal"},
    ):
        refused = await tollgate.ask("PUT", f"{own}/calls", body)
        assert refused.status_code == 422, json.dumps(body)


async def test_the_bill_is_shown_in_a_shell(engine: AsyncEngine, database_url: str) -> None:
    await onboard(engine, balance="0.20")
    async with engine.begin() as conn:
        await billed(conn, {INBOUND: 500_000, FEE: 1_000})
    owing = command("bill", ORGANIZATION, "--month", "2026-05", database_url=database_url)
    async with engine.begin() as conn:
        await wallets.post(conn, ORGANIZATION, [credit("more", usd("1"))])
        await receivables.recover(conn, ORGANIZATION, now=NOON)

    settled = command("bill", "--month", "2026-05", "--json", database_url=database_url)
    wrong = command("bill", "--month", "05/2026", database_url=database_url)
    nobody = command("bill", "nobody", database_url=database_url)

    assert (owing.returncode, settled.returncode) == (1, 0), owing.stderr + settled.stderr
    assert "Twilio's total 0.501 USD = paid 0.20 + absorbed 0.001 + unpaid 0.30" in owing.stdout, (
        owing.stdout
    )
    assert json.loads(settled.stdout)["settled"] is True
    assert (wrong.returncode, nobody.returncode) == (1, 1)
    assert nobody.stderr.strip() == "there is no organization nobody"


async def test_policies_are_set_in_a_shell(engine: AsyncEngine, database_url: str) -> None:
    await onboard(engine)

    def carrier(*arguments: str) -> int:
        return command("carrier", *arguments, database_url=database_url).returncode

    assert carrier("set", "sms-inbound", "charge", "--markup", "1.2", "--organization", "acme") == 0
    assert carrier("set", "*", "absorb") == 0
    assert carrier("set", "calls", "absorb", "--markup", "2") == 1
    assert carrier("set", "Calls", "forbid") == 1
    assert carrier("unset", "verify") == 1
    assert carrier("exchange-rate", "EUR", "USD", "1.085") == 0
    assert carrier("exchange-rate", "USD", "USD", "1") == 1
    assert carrier("exchange-rate", "euro", "USD", "1") == 1
    listed = command("carrier", "policies", "--organization", "acme", database_url=database_url)

    async with engine.connect() as conn:
        found = await policies.get(conn, ORGANIZATION)
        rates = await policies.exchange_rates(conn)
    assert found.choose(INBOUND).policy.factor == Decimal("1.2")
    assert found.choose("calls").policy.action is Action.ABSORB
    assert rates == {("EUR", "USD"): Decimal("1.085")}
    assert "x 1.2" in listed.stdout
