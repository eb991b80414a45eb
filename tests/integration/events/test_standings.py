"""Suspensions, reactivations and deadlines are told, each once."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from db.lifecycle import deadlines
from domain.billing.subscription import State
from tests.builders import (
    NOON,
    block,
    confirm,
    minutes,
    onboard,
    snapshot,
    standing,
    subscribe,
    take_steps,
    unblock,
)
from tests.integration.events.telling import data_of, events_told

DAY = timedelta(days=1)


async def test_a_suspension_is_told_when_the_gate_is_shut_and_applied_when_its_steps_are_done(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await block(engine)
    at_once = await events_told(engine, "organization.suspended", "standing.applied")
    await take_steps(engine)

    assert at_once == [("organization.suspended", {"epoch": 1, "blocks": ["admin"]})]
    assert await data_of(engine, "standing.applied") == [
        {
            "epoch": 1,
            "status": "suspended",
            "decided_at": "2026-03-02T12:00:00Z",
            "finished_at": "2026-03-02T12:00:00Z",
            "leaked_debits": 0,
            "leaked_messages": 0,
        }
    ]


async def test_a_reactivation_is_told_when_its_steps_are_done(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    await take_steps(engine)
    await unblock(engine)
    decided = await events_told(engine, "organization.reactivated")
    await take_steps(engine)

    assert decided == []
    assert await data_of(engine, "organization.reactivated") == [{"epoch": 2}]


async def test_repeated_steps_tell_nothing_again(engine: AsyncEngine) -> None:
    await onboard(engine)
    for _ in range(2):
        await block(engine)
    for _ in range(2):
        await take_steps(engine)

    assert (await standing(engine)).epoch == 1
    assert [type_ for type_, _ in await events_told(engine)] == [
        "wallet.credited",
        "organization.suspended",
        "wallet.frozen",
        "standing.applied",
    ]


async def test_a_freeze_is_told_with_what_still_freezes_the_wallet(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    await take_steps(engine)
    await unblock(engine)
    await take_steps(engine)

    assert await events_told(engine, "wallet.frozen", "wallet.unfrozen") == [
        (type_, {"by": "suspension", "frozen": frozen, "balance": "10.00", "currency": "USD"})
        for type_, frozen in (("wallet.frozen", True), ("wallet.unfrozen", False))
    ]


async def test_a_grace_period_is_told_when_it_begins_and_when_it_ends_within_a_day(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, grace=3 * DAY)
    await subscribe(engine)
    for _ in range(2):
        await confirm(engine, snapshot(State.PAST_DUE, NOON + minutes(1)))
    began = await events_told(engine, "organization.grace_started", "organization.grace_ending")
    for now in (NOON + DAY, NOON + 2.5 * DAY, NOON + 2.6 * DAY):
        async with engine.begin() as conn:
            await deadlines.warn(conn, now=now)

    deadline = (await standing(engine)).deadline
    assert deadline is not None
    expected = {"deadline": deadline.isoformat().replace("+00:00", "Z")}
    assert began == [("organization.grace_started", expected)]
    assert await data_of(engine, "organization.grace_ending") == [expected]
