"""Suite 4 of the original system: concurrent debits."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.wallet.entries import debit
from domain.wallet.ledger import Debited, InsufficientFunds
from tests.builders import balance, broken_claims, onboard, post_one, usd


async def test_concurrent_debits_of_the_same_wallet_take_what_it_has_and_no_more(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="10.00")

    outcomes = await asyncio.gather(
        *(post_one(engine, debit(f"d{n}", usd("1"))) for n in range(25))
    )

    assert sum(isinstance(outcome, Debited) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, InsufficientFunds) for outcome in outcomes) == 15
    assert await balance(engine) == usd("0")
    assert await broken_claims(engine) == set()


async def test_concurrent_debits_across_wallets_leave_each_its_own_balance(
    engine: AsyncEngine,
) -> None:
    names = [f"o{n}" for n in range(5)]
    for place, name in enumerate(names, start=1):
        await onboard(engine, name, balance=f"{place}.00")

    await asyncio.gather(
        *(
            post_one(engine, debit(f"d{n}", usd("0.50")), organization_id=name)
            for n in range(4)
            for name in names
        )
    )

    left = [await balance(engine, name) for name in names]
    assert left == [usd("0"), usd("0"), usd("1"), usd("2"), usd("3")]
    assert await broken_claims(engine) == set()
