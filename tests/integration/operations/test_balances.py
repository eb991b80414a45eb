"""A balance that somebody changed past the ledger, set back on the word of two people."""

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.operations import balances, operator_acts
from db.operations.balances import NotRestored
from tests.builders import balance, broken_claims, onboard, run, usd


async def restore(engine: AsyncEngine, second: str = "bea") -> None:
    async with engine.begin() as conn:
        await balances.restore(conn, "acme", by="ann", second=second, reason="incident 12")


async def test_the_balance_is_set_back_to_the_newest_entry_and_recorded(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, "acme")
    await run(engine, "UPDATE wallets SET balance_micros = 99000000")
    assert await broken_claims(engine) != set()

    await restore(engine)

    assert await balance(engine) == usd("10.00")
    assert await broken_claims(engine) == set()
    async with engine.connect() as conn:
        [act] = await operator_acts.page(conn, "acme", before=None, limit=9)
    assert (act.by, act.subject) == ("ann and bea", "from 99.00 USD to 10.00 USD")


@pytest.mark.parametrize("second", ["ann", " ANN"])
async def test_one_person_alone_sets_nothing_back(engine: AsyncEngine, second: str) -> None:
    await onboard(engine, "acme")
    await run(engine, "UPDATE wallets SET balance_micros = 99000000")

    with pytest.raises(NotRestored, match="two different people"):
        await restore(engine, second)

    assert await balance(engine) == usd("99.00")


async def test_a_balance_that_agrees_with_the_ledger_stays(engine: AsyncEngine) -> None:
    await onboard(engine, "acme")

    with pytest.raises(NotRestored, match="agrees"):
        await restore(engine)


async def test_a_balance_is_not_set_below_what_is_held(engine: AsyncEngine) -> None:
    await onboard(engine, "acme")
    await run(engine, "UPDATE wallets SET balance_micros = 99000000, held_micros = 50000000")

    with pytest.raises(IntegrityError):
        await restore(engine)
