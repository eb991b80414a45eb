"""A wallet that stays empty suspends its organization where the policy says so, and money lifts that
by itself.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from db.billing import carrier, empty_wallets, receivables
from db.lifecycle import organizations, standings, unnotified
from db.wallet import holds
from domain.lifecycle.funds import FundsPolicy, WhenEmpty
from domain.lifecycle.standing import Block, Status
from domain.wallet.entries import credit, debit
from domain.wallet.holds import Hold
from tests.builders import (
    ORGANIZATION,
    broken_claims,
    number,
    onboard,
    post,
    rows,
    standing,
    usd,
)

GRACE = timedelta(hours=2)
SUSPENDS = FundsPolicy(when_empty=WhenEmpty.SUSPEND, empty_grace=GRACE)


async def set_policy(
    engine: AsyncEngine, policy: FundsPolicy = SUSPENDS, organization_id: str = ORGANIZATION
) -> None:
    async with engine.begin() as conn:
        of = await organizations.get(conn, organization_id)
        assert of is not None
        await organizations.change(conn, replace(of, funds=policy))


async def emptied_at(engine: AsyncEngine) -> datetime:
    async with engine.connect() as conn:
        since = await empty_wallets.empty_since(conn, ORGANIZATION)
    assert since is not None
    return since


async def sweep(engine: AsyncEngine, now: datetime, *, limit: int = 10) -> list[str]:
    """Suspends who is due, as upkeep does."""
    found, after = list[str](), ""
    while True:
        async with engine.connect() as conn:
            due, last = await empty_wallets.due(conn, now=now, after=after, limit=limit)
        for organization_id in due:
            async with engine.begin() as conn:
                if await empty_wallets.suspend(conn, organization_id, now=now):
                    found.append(organization_id)
        if last is None:
            return found
        after = last


async def block_names(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as conn:
        blocks = await standings.held_blocks(conn, ORGANIZATION)
    return [f"{block.kind}/{block.reference}" for block in blocks]


async def test_an_empty_wallet_suspends_after_its_grace_period_and_not_before(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="10")
    await set_policy(engine)
    await post(engine, debit("all", usd("10")))
    since = await emptied_at(engine)

    early = await sweep(engine, since + GRACE - timedelta(seconds=1))
    before = (await standing(engine)).status
    suspended = await sweep(engine, since + GRACE)
    again = await sweep(engine, since + GRACE)

    assert (early, before, suspended, again) == ([], Status.ACTIVE, [ORGANIZATION], [])
    after = await standing(engine)
    assert (after.status, after.blocks) == (Status.SUSPENDED, frozenset({Block.FUNDS}))
    assert await block_names(engine) == ["funds/empty"]
    assert await broken_claims(engine) == set()


async def test_an_empty_wallet_suspends_nobody_without_the_policy(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    await post(engine, debit("all", usd("10")))

    assert await sweep(engine, datetime.max.replace(tzinfo=(await now(engine)).tzinfo)) == []


async def test_a_wallet_with_money_suspends_nobody(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0.000001")
    await set_policy(engine)

    assert await sweep(engine, await now(engine) + timedelta(days=9)) == []


async def test_a_wallet_whose_money_is_all_held_is_empty(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    await set_policy(engine)
    async with engine.begin() as conn:
        at = await now(engine)
        hold = Hold(reference_id="h", amount=usd("10"), expires_at=at + timedelta(days=300))
        await holds.reserve(conn, ORGANIZATION, hold, now=at)

    assert await emptied_at(engine) >= at
    assert await sweep(engine, at + GRACE + timedelta(minutes=1)) == [ORGANIZATION]


async def test_the_grace_period_starts_again_when_money_came_in_between(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="10")
    await set_policy(engine)
    await post(engine, debit("all", usd("10")))
    first = await emptied_at(engine)
    await post(engine, credit("some", usd("1")), debit("rest", usd("1")))
    second = await emptied_at(engine)

    assert second > first
    assert await sweep(engine, first + GRACE) == []
    assert await sweep(engine, second + GRACE) == [ORGANIZATION]


async def test_money_lifts_the_block_by_itself(engine: AsyncEngine) -> None:
    await emptied(engine)
    await post(engine, credit("more", usd("1")))

    async with engine.begin() as conn:
        due = await unnotified.owing(conn, limit=10)
        changed = await receivables.recover(conn, ORGANIZATION, now=await now(engine))

    assert (due, changed) == ([ORGANIZATION], True)
    assert await block_names(engine) == []
    assert (await standing(engine)).status is Status.ACTIVE
    async with engine.begin() as conn:
        assert not await receivables.recover(conn, ORGANIZATION, now=await now(engine))
    assert await broken_claims(engine) == set()


async def test_money_that_only_covers_a_debt_lifts_neither_block(engine: AsyncEngine) -> None:
    """What is left after it is nothing: the wallet is as empty as it was."""
    await emptied(engine)
    async with engine.begin() as conn:
        await carrier.take_charge(conn, ORGANIZATION, usd("4").micros, "rent", await now(engine))
    await post(engine, credit("more", usd("4")))

    async with engine.begin() as conn:
        assert await receivables.recover(conn, ORGANIZATION, now=await now(engine))

    assert await block_names(engine) == ["funds/empty"]
    assert (await standing(engine)).status is Status.SUSPENDED


async def test_every_organization_is_looked_at_page_by_page(engine: AsyncEngine) -> None:
    for id_ in ("a", "b", "c", "d", "e"):
        await onboard(engine, id_, balance="0")
        if id_ != "c":
            await set_policy(engine, organization_id=id_)

    assert await sweep(engine, await now(engine) + timedelta(days=2), limit=2) == list("abde")
    assert await number(engine, "SELECT count(*) FROM blocks") == 4


async def now(engine: AsyncEngine) -> datetime:
    [row] = await rows(engine, "SELECT clock_timestamp()")
    at: datetime = row[0]
    return at


async def emptied(engine: AsyncEngine) -> None:
    """Its wallet has been empty for too long, and it is suspended."""
    await onboard(engine, balance="0")
    await set_policy(engine)
    assert await sweep(engine, await emptied_at(engine) + GRACE) == [ORGANIZATION]
