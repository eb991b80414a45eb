"""While the fence is shut nothing is debited or sent, and readiness says why."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import parked_campaigns
from db.recovery import fences, marks
from db.wallet import wallets
from domain.campaigns.campaign import CampaignStatus, MessageStatus, Next, Park
from domain.recovery.marks import Mark
from domain.wallet.entries import credit, debit
from domain.wallet.ledger import Credited, Debited, Frozen
from runtime.coalescer import Coalescer
from runtime.database import create_engine
from runtime.database_memory import Memory, remember
from tests.builders import (
    ORGANIZATION,
    accepted,
    begin_window,
    broken_claims,
    campaign,
    campaign_now,
    hand_over,
    message_now,
    onboard,
    reserve,
    run,
    settle_replies,
    until_it_waits_for,
    usd,
)
from tests.integration.conftest import Tollgate
from tests.world import until

WHY = "the database went back in time"


async def shut(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        assert await fences.shut(conn, WHY, by=fences.TOLLGATE)


async def open_(engine: AsyncEngine) -> bool:
    async with engine.begin() as conn:
        return await fences.open_(conn, by="ops", because="recovered")


async def advance(engine: AsyncEngine) -> Mark:
    await run(engine, "UPDATE database_marks SET advanced_at = advanced_at - interval '1 minute'")
    async with engine.begin() as conn:
        mark, _ = await marks.advance(conn)
    return mark


async def test_no_way_to_debit_is_left_and_credits_are_booked(engine: AsyncEngine) -> None:
    await onboard(engine)
    coalescer = Coalescer(engine)
    await shut(engine)

    [alone] = await coalescer.post(ORGANIZATION, [debit("a", usd("1"))])
    together = await coalescer.post(ORGANIZATION, [debit("b", usd("1")), credit("c", usd("1"))])
    async with engine.begin() as conn:
        wallet = await wallets.lock(conn, ORGANIZATION)
        assert wallet is not None
        [locked] = await wallets.post_locked(conn, wallet, [debit("d", usd("1"))])
    async with engine.begin() as conn:
        in_one_statement = await wallets.post_alone(conn, ORGANIZATION, debit("e", usd("1")))

    assert [type(each) for each in [alone, *together, locked]] == [Frozen, Frozen, Credited, Frozen]
    assert in_one_statement is None
    assert await open_(engine)
    [outcome] = await coalescer.post(ORGANIZATION, [debit("a", usd("1"))])
    assert isinstance(outcome, Debited)
    await coalescer.close()


async def test_a_campaign_parks_keeps_its_paid_messages_and_is_resumed_by_nothing_else(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=4)
    await reserve(engine, sending, limit=2)
    await shut(engine)

    batch = await reserve(engine, sending, limit=2)

    assert batch is not None
    assert (batch.next, batch.reason) == (Next.STOP, Park.RECOVERY)
    await open_(engine)
    async with engine.begin() as conn:
        resumed = await parked_campaigns.resume_eligible(conn, ORGANIZATION, now=datetime.now(UTC))
    assert resumed == []
    assert (await campaign_now(engine, sending)).status is CampaignStatus.PARKED


async def test_a_window_is_not_begun(engine: AsyncEngine) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=4)
    await reserve(engine, sending)
    await shut(engine)

    assert await begin_window(engine, sending) is None


async def test_what_waits_for_money_is_not_resumed_before_it_is_opened(engine: AsyncEngine) -> None:
    await onboard(engine)
    waiting = await campaign(engine, messages=4)
    async with engine.begin() as conn:
        await parked_campaigns.park_running(conn, ORGANIZATION, Park.INSUFFICIENT_FUNDS)
    await shut(engine)

    async def found() -> tuple[int, int]:
        now = datetime.now(UTC)
        async with engine.begin() as conn:
            listed = await parked_campaigns.may_go_on(conn, now=now, limit=10)
            return len(listed), len(
                await parked_campaigns.resume_eligible(conn, ORGANIZATION, now=now)
            )

    assert await found() == (0, 0)
    assert (await campaign_now(engine, waiting)).reason == Park.INSUFFICIENT_FUNDS
    await open_(engine)
    assert await found() == (1, 1)


async def test_it_is_shut_once_and_opened_once_with_who_and_why(engine: AsyncEngine) -> None:
    await shut(engine)
    async with engine.begin() as conn:
        again = await fences.shut(conn, "another reason", by="ops")
        current = await fences.current(conn)

    assert (again, current is not None and current.reason) == (False, WHY)
    assert await open_(engine)
    assert not await open_(engine)


async def test_transactions_that_began_before_it_are_waited_for(engine: AsyncEngine) -> None:
    await onboard(engine)
    async with engine.connect() as sender:
        await wallets.lock(sender, ORGANIZATION)
        await shut(engine)
        async with engine.connect() as conn:
            before = await fences.next_transaction(conn)
            under_way = await fences.are_over(conn, before)
        await sender.rollback()
    async with engine.connect() as conn:
        over = await fences.are_over(conn, before)

    assert (under_way, over) == (False, True)


async def test_the_api_refuses_with_the_reason_and_is_not_ready(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await shut(tollgate.services.engine)

    debited = await tollgate.debit("1.00", "a")
    sent = await tollgate.post(
        "/v1/organizations/acme/messages", {"to": "+14155550100", "body": "Hi"}, key="m"
    )
    can_send = (await tollgate.get("/v1/organizations/acme/can-send")).json()

    async def ready() -> bool:
        answer = await tollgate.get("/health/ready", scope=None)
        return answer.status_code == 503 and WHY in answer.json()["database"]["detail"]

    assert (debited.status_code, sent.status_code) == (423, 423)
    assert [reason["code"] for reason in can_send["reasons"]] == ["recovery"]
    await until(ready, "503 with the reason")


@pytest.mark.parametrize("fenced_before", [False, True])
async def test_a_process_fences_a_restored_database_with_its_first_new_connection(
    engine: AsyncEngine, database_url: str, fenced_before: bool
) -> None:
    await onboard(engine)
    memory = Memory()
    remembering = create_engine(database_url, pool_size=2)
    remember(remembering, memory)
    memory.known = await advance(engine)
    async with remembering.connect() as conn:
        assert await fences.current(conn) is None
    await run(engine, "UPDATE database_marks SET number = number - 1")
    if fenced_before:
        await shut(engine)
    await remembering.dispose()

    async with remembering.connect() as conn:
        fence = await fences.current(conn)
    await remembering.dispose()

    assert fence is not None
    assert ("its mark is" in fence.reason) is not fenced_before
    assert ("it was last used at 20" in fence.reason) is not fenced_before
    assert memory.fence == fence.reason


async def test_a_mark_is_advanced_once_a_second_by_all_processes_together(
    engine: AsyncEngine,
) -> None:
    first = await advance(engine)
    async with engine.begin() as conn:
        [number] = (await conn.execute(text("SELECT number FROM database_marks"))).scalars()
        mark, _ = await marks.advance(conn)

    assert first.installation is not None
    assert mark.number - number <= 1
    assert (await advance(engine)).number > first.number


async def test_a_message_whose_hand_over_was_lost_in_a_failover_is_not_handed_over_again(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    sending = await campaign(engine, messages=2)
    first, second = await hand_over(engine, sending)
    await run(engine, "UPDATE messages SET status = 'reserved', sending_at = NULL, sender = NULL")

    await settle_replies(engine, accepted(first), accepted(second))

    statuses = {(await message_now(engine, message)).status for message in (first, second)}
    assert statuses == {MessageStatus.ACCEPTED}
    assert not await begin_window(engine, sending)
    assert await broken_claims(engine) == set()


async def test_processes_that_start_together_on_a_new_database_agree_about_its_name(
    engine: AsyncEngine,
) -> None:
    async def advanced() -> Mark:
        async with engine.begin() as conn:
            mark, _ = await marks.advance(conn)
        return mark

    async with engine.begin() as first:
        named, _ = await marks.advance(first)
        second = asyncio.create_task(advanced())
        await until_it_waits_for(engine, first, second)

    assert named.installation is not None
    assert (await second).installation == named.installation
