"""What foreign messages cost is taken at once, and returned when Twilio's usage is charged instead."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.carrier import foreign_charges, foreign_messages, readings
from domain.campaigns.telephony import DeliveryStatus, SentMessage
from domain.carrier.foreign import Direction
from domain.carrier.policies import Action, Policy
from domain.carrier.provisional import Uncharged, amount
from domain.money import Money
from tests.builders import (
    ORGANIZATION,
    balance,
    broken_claims,
    number,
    onboard,
    rows,
    run,
    usd,
)

NOW = datetime.now(UTC).replace(microsecond=0)
AT_COST = Policy(prefix="sms", action=Action.CHARGE)


def listed(
    sid: str,
    *,
    outbound: bool = True,
    price: str | None = None,
    segments: int = 1,
    at: datetime = NOW,
    status: DeliveryStatus | None = DeliveryStatus.DELIVERED,
) -> SentMessage:
    return SentMessage(
        sid=sid,
        account_sid="AC" + "0" * 32,
        to="+14155550100",
        body="",
        status=status,
        price=None if price is None else usd(price),
        segments=segments,
        created_at=at,
        sent_at=at,
        senders=("+14155550199",),
        outbound=outbound,
    )


async def find(engine: AsyncEngine, *messages: SentMessage) -> int:
    """Record and charge; returns what was taken."""
    async with engine.begin() as conn:
        await foreign_messages.record(conn, ORGANIZATION, messages, now=NOW)
    async with engine.begin() as conn:
        return await foreign_charges.charge(conn, ORGANIZATION, now=NOW)


async def usage_complete_up_to(engine: AsyncEngine, as_of: datetime) -> int:
    """As after a reading of the usage, which returns what was taken."""
    async with engine.begin() as conn:
        await readings.add_new(conn, now=NOW)
        await readings.note(conn, ORGANIZATION, now=NOW, due_at=NOW, as_of=as_of, changed=False)
        return await foreign_charges.give_back(conn, ORGANIZATION, NOW.date(), as_of=as_of, now=NOW)


async def test_a_foreign_message_is_paid_for_before_twilio_has_a_price(engine: AsyncEngine) -> None:
    await onboard(engine)
    taken = await find(engine, listed("SM1", segments=2), listed("SM2", price="0.0300"))
    again = await find(engine, listed("SM1"))

    assert (taken, again) == (50_000, 0)  # two segments at a cent, and Twilio's price
    assert await balance(engine) == usd("9.95")
    assert await broken_claims(engine) == set()


async def test_what_was_taken_comes_back_when_the_usage_shows_it(engine: AsyncEngine) -> None:
    await onboard(engine)
    await find(engine, listed("SM1"))
    await find(engine, listed("SM2", at=NOW + timedelta(seconds=1)))
    early = await usage_complete_up_to(engine, NOW - timedelta(seconds=1))
    first = await usage_complete_up_to(engine, NOW)
    second = await usage_complete_up_to(engine, NOW + timedelta(seconds=1))
    again = await usage_complete_up_to(engine, NOW + timedelta(minutes=3))

    assert (early, first, second, again) == (0, 10_000, 10_000, 0)
    assert await balance(engine) == usd("10.00")
    assert await broken_claims(engine) == set()


async def test_what_the_usage_shows_already_is_not_taken_again(engine: AsyncEngine) -> None:
    await onboard(engine)
    await usage_complete_up_to(engine, NOW)

    assert await find(engine, listed("SM1")) == 0


async def test_what_the_wallet_cannot_pay_is_owed_and_blocks(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.02")
    await find(engine, *(listed(f"SM{n}") for n in range(5)))

    blocks = await rows(engine, "SELECT kind, reference FROM blocks")
    assert [(block.kind, block.reference) for block in blocks] == [("funds", "carrier")]
    assert await balance(engine) == Money(0, "USD")
    assert await number(engine, "SELECT amount_micros FROM carrier_debts") == 30_000
    assert await broken_claims(engine) == set()


async def test_what_comes_back_covers_what_its_own_charge_left_owed(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    await find(engine, listed("SM1", at=NOW + timedelta(seconds=1)))
    await find(engine, listed("SM2"))
    await usage_complete_up_to(engine, NOW)

    debts = await rows(
        engine, "SELECT recovered_micros FROM carrier_debts ORDER BY substr(reference_id, 17)::int"
    )
    assert [debt.recovered_micros for debt in debts] == [0, 10_000]
    assert await broken_claims(engine) == set()


async def test_a_received_message_waits_for_a_price_and_one_that_failed_costs_nothing(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    unknown = await find(
        engine,
        listed("SM1", outbound=False, status=None),
        listed("SM2", status=DeliveryStatus.FAILED),
    )
    known = await find(engine, listed("SM3", outbound=False, price="0.0083", status=None))
    like_before = await find(engine, listed("SM4", outbound=False, status=None))

    assert unknown == 0
    assert known == 16_600  # and the first one, whose price is known by the second
    assert like_before == 8_300


async def test_what_the_company_absorbs_is_not_taken(engine: AsyncEngine) -> None:
    await onboard(engine)
    await run(
        engine,
        "INSERT INTO carrier_policies (organization_id, prefix, action) VALUES ('*', 'sms-inbound', 'absorb')",
    )

    assert await find(engine, listed("SM1", outbound=False, price="0.0083", status=None)) == 0


@pytest.mark.parametrize(
    ("tampering", "claim"),
    [
        ("UPDATE foreign_messages SET charge_id = NULL", "neither charged nor in the usage"),
        ("UPDATE foreign_charges SET amount_micros = amount_micros + 1", "do not have"),
        ("UPDATE foreign_charges SET returned_at = now()", "not returned once"),
    ],
)
async def test_certify_names_a_message_that_nobody_paid_and_a_charge_that_was_not_booked(
    engine: AsyncEngine, tampering: str, claim: str
) -> None:
    await onboard(engine)
    await find(engine, listed("SM1"))
    await run(engine, "UPDATE foreign_messages SET found_at = found_at - interval '2 days'")
    assert await broken_claims(engine) == set()

    await run(engine, tampering)

    [broken] = await broken_claims(engine)
    assert claim in broken


@pytest.mark.parametrize(
    ("policy", "cost", "own", "last", "micros"),
    [
        (AT_COST, 8_300, 10_000, None, 8_300),
        (AT_COST, None, 10_000, 7_000, 20_000),
        (AT_COST, None, None, 7_000, 14_000),
        (AT_COST, None, None, None, None),
        (Policy(prefix="sms", action=Action.CHARGE, factor=Decimal(2)), 8_300, None, None, 16_600),
        (
            Policy(prefix="sms", action=Action.CHARGE, unit_price_micros=5_000),
            1,
            None,
            None,
            10_000,
        ),
        (
            Policy(prefix="sms", action=Action.CHARGE, unit_price_micros=5_000),
            None,
            None,
            None,
            10_000,
        ),
        (Policy(prefix="sms", action=Action.ABSORB), 8_300, 10_000, 7_000, None),
        (AT_COST, 0, None, None, None),
    ],
)
def test_an_amount_follows_the_policy(
    policy: Policy, cost: int | None, own: int | None, last: int | None, micros: int | None
) -> None:
    message = Uncharged(
        message_sid="SM1",
        direction=Direction.OUTBOUND,
        channel="sms",
        segments=2,
        cost_micros=cost,
        happened_at=NOW,
    )

    assert amount(message, policy, own_micros=own, last_micros=last) == micros
