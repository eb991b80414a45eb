"""Suite 1 of the original system: a wallet's balance is never below zero."""

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.wallet.entries import debit
from domain.wallet.ledger import Debited, InsufficientFunds
from tests.builders import ONE_CENT, balance, broken_claims, number, onboard, post, post_one, usd


async def test_insufficient_funds_are_refused_and_take_nothing(engine: AsyncEngine) -> None:
    await onboard(engine, balance="5.00")

    outcome = await post_one(engine, debit("too much", usd("5.000001")))

    assert outcome == InsufficientFunds(usd("5").micros, usd("5.000001").micros)
    assert await balance(engine) == usd("5")
    assert await number(engine, "SELECT count(*) FROM ledger_entries WHERE kind = 'debit'") == 0


async def test_many_debits_stop_at_zero(engine: AsyncEngine) -> None:
    await onboard(engine, balance="1.00")

    outcomes = [await post_one(engine, debit(f"d{n}", ONE_CENT)) for n in range(103)]

    assert [isinstance(outcome, Debited) for outcome in outcomes] == [True] * 100 + [False] * 3
    assert await balance(engine) == usd("0")
    assert await broken_claims(engine) == set()


async def test_rounding_never_takes_a_balance_below_zero(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.10")
    third = usd("0.033333")

    outcomes = await post(engine, *(debit(f"d{n}", third) for n in range(4)))
    last = await post(
        engine, debit("rest", usd("0.000001")), debit("nothing left", usd("0.000001"))
    )

    assert [isinstance(outcome, Debited) for outcome in outcomes + last] == [
        True,
        True,
        True,
        False,
        True,
        False,
    ]
    assert await balance(engine) == usd("0")
