"""A reserve: money that no debit uses, kept for charges that recur; held, short, released."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.billing import carrier, receivables
from db.billing.carrier import Taken
from db.lifecycle import unnotified
from db.wallet import reserves
from domain.wallet.entries import credit, debit
from domain.wallet.ledger import Debited, InsufficientFunds
from domain.wallet.reserves import Reserve
from tests.builders import (
    NOON,
    ORGANIZATION,
    broken_claims,
    number,
    onboard,
    post,
    post_one,
    rows,
    run,
    usd,
    wallet,
)

RESERVES = "reserves that differ from the record of their changes"
HELD = "wallets whose open holds and reserve do not add up to their held amount"


async def want(engine: AsyncEngine, amount: str) -> Reserve:
    async with engine.begin() as conn:
        return await reserves.want(conn, ORGANIZATION, usd(amount).micros, now=NOON)


async def recover(engine: AsyncEngine) -> bool:
    async with engine.begin() as conn:
        return await receivables.recover(conn, ORGANIZATION, now=NOON)


async def charge(engine: AsyncEngine, amount: str, reference: str, *, recurs: bool) -> Taken:
    async with engine.begin() as conn:
        return await carrier.take_charge(
            conn, ORGANIZATION, usd(amount).micros, reference, NOON, recurs=recurs
        )


def of(wanted: str, held: str) -> Reserve:
    return Reserve(wanted_micros=usd(wanted).micros, held_micros=usd(held).micros)


async def test_no_debit_uses_what_is_reserved(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")

    assert await want(engine, "4") == of("4", "4")

    assert await post_one(engine, debit("much", usd("7"))) == InsufficientFunds(
        usd("6").micros, usd("7").micros
    )
    assert isinstance(await post_one(engine, debit("all", usd("6"))), Debited)
    assert (await wallet(engine)).held_micros == usd("4").micros
    assert await broken_claims(engine) == set()


async def test_a_reserve_is_short_until_money_comes_in(engine: AsyncEngine) -> None:
    await onboard(engine, balance="3")

    assert await want(engine, "5") == of("5", "3")
    assert await want(engine, "5") == of("5", "3")
    await post(engine, credit("more", usd("7")))
    async with engine.connect() as conn:
        assert await unnotified.owing(conn, limit=10) == [ORGANIZATION]
    assert await recover(engine)

    async with engine.connect() as conn:
        assert await reserves.get(conn, ORGANIZATION) == of("5", "5")
        assert await unnotified.owing(conn, limit=10) == []
    assert (await wallet(engine)).available_micros == usd("5").micros
    assert await broken_claims(engine) == set()


async def test_what_is_no_longer_wanted_is_released(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    await want(engine, "6")

    assert await want(engine, "2") == of("2", "2")
    assert await want(engine, "0") == of("0", "0")

    assert (await wallet(engine)).available_micros == usd("10").micros
    assert await rows(engine, "SELECT change, amount_micros FROM money_changes ORDER BY id") == [
        ("reserve_held", 6_000_000),
        ("reserve_released", 4_000_000),
        ("reserve_released", 2_000_000),
    ]
    assert await broken_claims(engine) == set()


async def test_a_wallet_that_never_reserved_has_no_row(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")

    assert await want(engine, "0") == Reserve()
    assert await number(engine, "SELECT count(*) FROM reserves") == 0


async def test_a_charge_that_recurs_takes_from_the_reserve_what_is_not_available(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="10")
    await want(engine, "4")
    await post(engine, debit("most", usd("5")))

    assert await charge(engine, "3", "rent", recurs=True) == Taken(
        paid_micros=usd("3").micros, owed_micros=0
    )

    async with engine.connect() as conn:
        assert await reserves.get(conn, ORGANIZATION) == of("4", "2")
    assert (await wallet(engine)).available_micros == 0
    assert await broken_claims(engine) == set()


async def test_any_other_charge_leaves_the_reserve_and_is_owed(engine: AsyncEngine) -> None:
    """So the rest of the reserve pays rent while the organization is suspended for it."""
    await onboard(engine, balance="10")
    await want(engine, "10")

    assert await charge(engine, "3", "inbound", recurs=False) == Taken(
        paid_micros=0, owed_micros=usd("3").micros
    )
    assert await charge(engine, "4", "rent", recurs=True) == Taken(
        paid_micros=usd("4").micros, owed_micros=0
    )
    async with engine.connect() as conn:
        assert await reserves.get(conn, ORGANIZATION) == of("10", "6")
    assert await broken_claims(engine) == set()


async def test_what_the_reserve_lacks_is_owed_too(engine: AsyncEngine) -> None:
    await onboard(engine, balance="1")
    await want(engine, "4")

    assert await charge(engine, "3", "rent", recurs=True) == Taken(
        paid_micros=usd("1").micros, owed_micros=usd("2").micros
    )
    await post(engine, credit("more", usd("3")))
    await recover(engine)

    async with engine.connect() as conn:
        assert (await receivables.owed(conn, ORGANIZATION)).total == 0
        assert await reserves.get(conn, ORGANIZATION) == of("4", "1")  # a debt comes first
    assert await broken_claims(engine) == set()


async def test_a_reserve_and_debits_at_once_never_take_more_than_there_is(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="10")

    outcomes = await asyncio.gather(
        want(engine, "6"), *(post_one(engine, debit(f"d{n}", usd("3"))) for n in range(5))
    )

    taken = sum(isinstance(outcome, Debited) for outcome in outcomes)
    async with engine.connect() as conn:
        kept = (await reserves.get(conn, ORGANIZATION)).held_micros
    assert kept == min(usd("6").micros, usd("10").micros - taken * usd("3").micros)
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize(
    ("tampering", "claims"),
    [
        ("UPDATE reserves SET held_micros = 1", {RESERVES, HELD}),
        ("DELETE FROM reserves", {HELD}),
        (
            "UPDATE wallets SET held_micros = 0; UPDATE reserves SET held_micros = 0",
            {RESERVES},
        ),
    ],
)
async def test_certify_finds_a_reserve_that_does_not_agree(
    engine: AsyncEngine, tampering: str, claims: set[str]
) -> None:
    await onboard(engine, balance="10")
    await want(engine, "6")

    for statement in tampering.split("; "):
        await run(engine, statement)

    assert await broken_claims(engine) == claims
