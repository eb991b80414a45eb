"""Holds under the wallet's lock: the second request decides on the result of the first."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from db.wallet import holds, wallets
from domain.money import Money
from domain.wallet.entries import debit
from domain.wallet.holds import Held, Hold, HoldStatus, Released, Reserved
from domain.wallet.ledger import Debited, InsufficientFunds
from tests.builders import (
    NOON,
    ORGANIZATION,
    broken_claims,
    minutes,
    onboard,
    post_one,
    until_it_waits_for,
    usd,
    wallet,
)


async def reserve(engine: AsyncEngine, reference: str, amount: Money) -> Reserved:
    hold = Hold(reference_id=reference, amount=amount, expires_at=NOON + minutes(60))
    async with engine.begin() as conn:
        return await holds.reserve(conn, ORGANIZATION, hold, now=NOON)


async def release(engine: AsyncEngine, reference: str) -> Released:
    async with engine.begin() as conn:
        return await holds.release(conn, ORGANIZATION, reference, now=NOON)


async def test_a_hold_waits_for_the_debit_that_came_first(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    async with engine.connect() as holder:
        await wallets.post(holder, ORGANIZATION, [debit("first", usd("6"))])
        waiting = asyncio.create_task(reserve(engine, "second", usd("5")))
        await until_it_waits_for(engine, holder, waiting)
        await holder.commit()

    assert await waiting == InsufficientFunds(balance_micros=4_000_000, needed_micros=5_000_000)


async def test_a_debit_waits_for_the_hold_that_came_first(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    async with engine.connect() as holder:
        hold = Hold(reference_id="first", amount=usd("6"), expires_at=NOON + minutes(60))
        assert await holds.reserve(holder, ORGANIZATION, hold, now=NOON) == Held(hold)
        waiting = asyncio.create_task(post_one(engine, debit("second", usd("5"))))
        await until_it_waits_for(engine, holder, waiting)
        await holder.commit()

    assert await waiting == InsufficientFunds(balance_micros=4_000_000, needed_micros=5_000_000)


async def test_two_releases_at_once_let_go_of_it_once(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    await reserve(engine, "one", usd("4"))
    await reserve(engine, "other", usd("3"))
    async with engine.connect() as holder:
        await holds.release(holder, ORGANIZATION, "one", now=NOON)
        waiting = asyncio.create_task(release(engine, "one"))
        await until_it_waits_for(engine, holder, waiting)
        await holder.commit()
    again = await waiting

    assert isinstance(again, Held)
    assert again.replayed
    assert (await wallet(engine)).held_micros == 3_000_000
    assert await broken_claims(engine) == set()


async def test_an_overdue_hold_is_never_captured_and_makes_room_for_the_next(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="10")
    await reserve(engine, "overdue", usd("10"))
    later = NOON + minutes(61)
    async with engine.begin() as conn:
        captured = await holds.capture(conn, ORGANIZATION, "overdue", None, now=later)
        hold = Hold(reference_id="next", amount=usd("10"), expires_at=later + minutes(1))
        reserved = await holds.reserve(conn, ORGANIZATION, hold, now=later)

    assert type(captured).__name__ == "HoldClosed"
    assert reserved == Held(hold)
    assert not isinstance(await post_one(engine, debit("d", usd("1"))), Debited)
    assert await broken_claims(engine) == set()


async def test_a_released_hold_does_not_expire_as_well(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    for name in ("let go", "open"):
        await reserve(engine, name, usd("4"))
    await release(engine, "let go")
    later = NOON + minutes(61)
    async with engine.begin() as conn:
        hold = Hold(reference_id="next", amount=usd("1"), expires_at=later + minutes(1))
        await holds.reserve(conn, ORGANIZATION, hold, now=later)
        let_go = await holds.get(conn, ORGANIZATION, "let go")

    assert let_go is not None
    assert let_go.status is HoldStatus.RELEASED
    assert (await wallet(engine)).held_micros == 1_000_000
    assert await broken_claims(engine) == set()


async def test_another_organizations_hold_of_the_same_reference_stays_open(
    engine: AsyncEngine,
) -> None:
    for name in (ORGANIZATION, "other"):
        await onboard(engine, name, balance="10")
        async with engine.begin() as conn:
            hold = Hold(reference_id="same", amount=usd("4"), expires_at=NOON + minutes(60))
            await holds.reserve(conn, name, hold, now=NOON)

    await release(engine, "same")

    assert (await wallet(engine, "other")).held_micros == 4_000_000
    assert await broken_claims(engine) == set()


async def test_the_end_of_one_organizations_holds_is_not_another_organizations(
    engine: AsyncEngine,
) -> None:
    for name in (ORGANIZATION, "other"):
        await onboard(engine, name, balance="10")
        async with engine.begin() as conn:
            hold = Hold(reference_id="same", amount=usd("4"), expires_at=NOON + minutes(60))
            await holds.reserve(conn, name, hold, now=NOON)

    async with engine.begin() as conn:
        await holds.expire(conn, ORGANIZATION, now=NOON + minutes(61))
        left = await holds.get(conn, "other", "same")

    assert left is not None
    assert left.status is HoldStatus.OPEN
    assert await broken_claims(engine) == set()
