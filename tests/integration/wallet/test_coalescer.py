"""Callers of one process share transactions, and one caller's failure does not affect the others."""

import asyncio

import pytest
import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.wallet import wallets
from domain.wallet.entries import credit, debit
from domain.wallet.ledger import Debited, InsufficientFunds, Outcome, WalletNotFound
from runtime.coalescer import APART, WAITING, Coalescer, Overloaded, Unanswered
from tests.builders import ORGANIZATION, balance, number, onboard, rows, run, usd
from tests.world import until

TRANSACTIONS = "SELECT count(DISTINCT xmin::text) FROM ledger_entries"


def call(
    coalescer: Coalescer, reference: str, organization_id: str = ORGANIZATION
) -> asyncio.Task[list[Outcome]]:
    """A caller that debits a cent."""
    return asyncio.create_task(coalescer.post(organization_id, [debit(reference, usd("0.01"))]))


async def waits_for_a_lock(engine: AsyncEngine) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
        "current_database()"
    )
    return await number(engine, query) > 0


async def waits_for_locks(engine: AsyncEngine, many: int) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
        "current_database()"
    )
    return await number(engine, query) >= many


async def test_a_hundred_callers_share_a_transaction(engine: AsyncEngine) -> None:
    await onboard(engine)
    await onboard(engine, "other")
    before = await number(engine, TRANSACTIONS)
    coalescer = Coalescer(engine)

    tasks = [call(coalescer, f"d{n}", "other" if n % 3 else ORGANIZATION) for n in range(100)]
    outcomes = [outcome for [outcome] in await asyncio.gather(*tasks)]

    assert {type(outcome) for outcome in outcomes} == {Debited}
    assert await number(engine, TRANSACTIONS) - before <= 2
    assert await balance(engine) == usd("9.66")


async def test_callers_get_their_own_outcomes_in_the_order_in_which_they_came(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="1.00")
    coalescer = Coalescer(engine)

    calls = [
        coalescer.post(ORGANIZATION, [debit(f"{n}", usd("0.40")), debit(f"{n} too", usd("0.30"))])
        for n in range(3)
    ]
    first, second, third = await asyncio.gather(*calls)
    nobody = await coalescer.post("nobody", [credit("c", usd("1"))])

    assert [type(outcome) for outcome in first] == [Debited, Debited]
    assert second == [InsufficientFunds(usd("0.30").micros, usd("0.40").micros), second[1]]
    assert [type(outcome) for outcome in (second[1], *third)] == [
        Debited,
        InsufficientFunds,
        InsufficientFunds,
    ]
    assert nobody == [WalletNotFound("nobody")]


async def test_a_locked_wallet_does_not_hold_up_other_wallets(engine: AsyncEngine) -> None:
    for name in ("held", "free"):
        await onboard(engine, name)
    coalescer = Coalescer(engine)
    async with engine.begin() as holder:
        await wallets.lock(holder, "held")
        tasks = [call(coalescer, f"d{n}", "held") for n in range(3)]
        for _ in range(3):
            await asyncio.sleep(0)  # the first three are in progress, and the wallet is locked
        tasks.append(call(coalescer, "d3", "held"))
        for n in range(3):
            assert isinstance((await call(coalescer, f"d{n}", "free"))[0], Debited)
        assert not any(task.done() for task in tasks)

    assert [type(outcome) for [outcome] in await asyncio.gather(*tasks)] == [Debited] * 4
    entries = await rows(
        engine,
        "SELECT reference_id FROM ledger_entries WHERE organization_id = 'held' ORDER BY seq",
    )
    assert [entry.reference_id for entry in entries] == ["opening", "d0", "d1", "d2", "d3"]


async def test_wallets_locked_for_long_do_not_hold_up_a_wallet_locked_for_a_moment(
    engine: AsyncEngine,
) -> None:
    stuck = [f"stuck{n}" for n in range(APART)]
    for name in (*stuck, "brief"):
        await onboard(engine, name)
    coalescer = Coalescer(engine)
    async with engine.begin() as holder:
        for name in stuck:
            await wallets.lock(holder, name)
        waiting = [call(coalescer, "d", name) for name in stuck]
        await until(lambda: waits_for_locks(engine, APART), "every lane taken")
        async with engine.begin() as other:
            await wallets.lock(other, "brief")
            brief = call(coalescer, "d", "brief")
            await asyncio.sleep(0)
        assert isinstance((await brief)[0], Debited)
        assert not any(task.done() for task in waiting)

    assert [type(outcome) for [outcome] in await asyncio.gather(*waiting)] == [Debited] * APART


async def test_a_wallet_with_many_callers_lets_another_in_between(engine: AsyncEngine) -> None:
    for name in ("busy", "quiet"):
        await onboard(engine, name, balance="100.00")
    coalescer = Coalescer(engine)
    ended: list[str] = []
    tasks = [call(coalescer, f"d{n}", "busy") for n in range(1500)] + [
        call(coalescer, "d", "quiet")
    ]
    for task in tasks[:-1]:
        task.add_done_callback(lambda _: ended.append("busy"))
    tasks[-1].add_done_callback(lambda _: ended.append("quiet"))

    await asyncio.gather(*tasks)

    assert ended.index("quiet") < 600


async def test_a_caller_that_leaves_before_its_turn_requests_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)
    coalescer = Coalescer(engine)
    async with engine.begin() as holder:
        await wallets.lock(holder, ORGANIZATION)
        under_way = call(coalescer, "under way")
        await until(lambda: waits_for_a_lock(engine), "the first waits for the lock")
        waiting, staying = call(coalescer, "waiting"), call(coalescer, "staying")
        await asyncio.sleep(0)
        for task in (under_way, waiting):
            task.cancel()
    await staying
    await asyncio.gather(under_way, waiting, return_exceptions=True)

    entries = await rows(engine, "SELECT reference_id FROM ledger_entries ORDER BY seq")
    assert [entry.reference_id for entry in entries] == ["opening", "under way", "staying"]


async def test_past_its_limit_it_says_so_and_books_what_it_took(engine: AsyncEngine) -> None:
    await onboard(engine, balance="1000.00")
    coalescer = Coalescer(engine)
    async with engine.begin() as holder:
        await wallets.lock(holder, ORGANIZATION)
        under_way = call(coalescer, "under way")
        await until(lambda: waits_for_a_lock(engine), "the first waits for the lock")
        lists = [
            [debit(f"{n} {m}", usd("0.01")) for m in range(1000)] for n in range(WAITING // 1000)
        ]
        taken = [asyncio.create_task(coalescer.post(ORGANIZATION, postings)) for postings in lists]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await coalescer.post(ORGANIZATION, [debit("too much", usd("0.01"))])

    await asyncio.gather(under_way, *taken)
    assert await number(engine, "SELECT count(*) FROM ledger_entries") == WAITING + 2


async def test_a_failed_transaction_fails_every_caller_and_the_next_are_served(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    coalescer = Coalescer(engine)
    await run(engine, "ALTER TABLE ledger_entries RENAME TO away")

    failed = await asyncio.gather(
        *(call(coalescer, f"d{n}") for n in range(5)), return_exceptions=True
    )
    await run(engine, "ALTER TABLE away RENAME TO ledger_entries")

    assert {type(problem) for problem in failed} == {ProgrammingError}
    assert isinstance((await call(coalescer, "d0"))[0], Debited)


async def test_a_connection_that_was_lost_meanwhile_is_not_the_callers_trouble(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    coalescer = Coalescer(engine)
    await call(coalescer, "d0")
    async with engine.connect() as conn, engine.connect():
        await conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                "current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )

    assert isinstance((await call(coalescer, "d1"))[0], Debited)


async def test_a_commit_with_unknown_outcome_is_reported_as_such_and_resolved_by_its_reference(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    coalescer = Coalescer(engine)
    await run(
        engine,
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$",
    )
    await run(
        engine,
        "CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON ledger_entries DEFERRABLE INITIALLY "
        "DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION linger()",
    )
    postings = [debit("d", usd("0.01")), debit("e", usd("0.01"))]
    caller = asyncio.create_task(coalescer.post(ORGANIZATION, postings))
    committing = (
        "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    )
    await until(lambda: _some(engine, f"SELECT count(*) {committing}"), "the commit is under way")

    await run(engine, f"SELECT pg_terminate_backend(pid) {committing}")

    with pytest.raises(Unanswered):
        await caller
    await run(engine, "DROP TRIGGER linger ON ledger_entries")
    again = await coalescer.post(ORGANIZATION, postings)
    assert [isinstance(outcome, Debited) and outcome.replayed for outcome in again] == [
        False,
        False,
    ]


async def test_a_lock_that_is_held_too_long_is_an_error_and_not_waited_for_again(
    engine: AsyncEngine,
) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def impatient(connection: object, _: object) -> None:
        connection.cursor().execute("SET lock_timeout = '100ms'")  # type: ignore[attr-defined]
        connection.commit()  # type: ignore[attr-defined]

    await onboard(engine)
    coalescer = Coalescer(engine)
    async with engine.begin() as holder:
        await wallets.lock(holder, ORGANIZATION)
        with pytest.raises(DBAPIError) as error, structlog.testing.capture_logs() as logged:
            await call(coalescer, "d")

    assert logged == []
    assert getattr(error.value.orig, "sqlstate", None) == "55P03"
    assert await balance(engine) == usd("10")


async def test_closing_books_what_waits_and_takes_nothing_more(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    coalescer = Coalescer(engine)
    tasks = [call(coalescer, f"d{n}") for n in range(10)]
    await asyncio.sleep(0)

    await coalescer.close()

    assert all(isinstance(task.result()[0], Debited) for task in tasks)
    with pytest.raises(Overloaded):
        await coalescer.post(ORGANIZATION, [debit("late", usd("1"))])


async def test_two_processes_on_one_wallet_take_turns_and_never_overdraw(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="1.00")
    coalescers = [Coalescer(engine), Coalescer(engine)]

    tasks = [call(coalescers[n % 2], f"d{n}") for n in range(300)]
    outcomes = [outcome for [outcome] in await asyncio.gather(*tasks)]

    assert sum(isinstance(outcome, Debited) for outcome in outcomes) == 100
    assert await balance(engine) == usd("0")


async def _some(engine: AsyncEngine, query: str) -> bool:
    return await number(engine, query) > 0
