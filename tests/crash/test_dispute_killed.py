"""Kills the worker once before, during and after the booking of refunds and disputes, at both
providers.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import Client

from db.billing import receivables
from db.lifecycle import standings
from db.wallet import ledger, wallets
from devservers.postgres import Postgres
from simulators.paypal.certificate import Authority
from tests.builders import number, rows
from tests.conftest import fresh_database
from tests.crash.processes import worker
from tests.workflow.actors import Actor, AtPayPal, AtStripe, ids_of, onboard
from tests.world import World, until, world

PROVIDERS = ("paypal", "stripe")
STORIES = ("refund of what is spent", "dispute that takes", "dispute that is won")
BOUNDARIES = ("asking", "booking", "booked")
CASES = list(product(PROVIDERS, STORIES, BOUNDARIES))
Case = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Staged:
    """Its last events are delivered while no worker runs; `object_id` is their refund or dispute."""

    organization_id: str
    object_id: str
    won: bool


@dataclass(frozen=True, slots=True)
class Crash:
    world: World
    staged: dict[Case, Staged]


def actor_of(world: World, provider: str) -> Actor:
    return (
        AtPayPal(world, world.paypal_control)
        if provider == "paypal"
        else AtStripe(world, world.stripe_control)
    )


@pytest_asyncio.fixture(scope="module")
async def crash(
    postgres: Postgres,
    temporal_client: Client,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
) -> AsyncIterator[Crash]:
    directory: Path = tmp_path_factory.mktemp("dispute")
    with fresh_database(postgres, f"dispute_{os.getpid()}") as url:
        async with world(url, temporal_client, directory, authority) as running_world:
            staged = await _staged(running_world)
            async with AsyncExitStack() as stack:
                waits = [
                    await _hold(stack, running_world, case, case_staged)
                    for case, case_staged in staged.items()
                ]
                first = await stack.enter_async_context(worker(running_world, "first"))
                for wait in waits:
                    await wait()
                first.kill()
            running_world.paypal.faults.clear()
            running_world.stripe.faults.clear()
            async with worker(running_world, "second"):
                yield Crash(running_world, staged)


async def _staged(world: World) -> dict[Case, Staged]:
    world.start_worker()
    before = {case: await _prepare(world, actor_of(world, case[0]), case[1]) for case in CASES}
    await world.stop_workers()
    return {
        case: await _tell(actor_of(world, case[0]), case[1], *prepared)
        for case, prepared in before.items()
    }


async def _prepare(world: World, actor: Actor, story: str) -> tuple[str, str, str]:
    """The organization, its top-up and the dispute of it, if it is open before the crash."""
    organization_id = await onboard(world, balance="0")
    payment_id, dispute_id = await actor.top_up(organization_id, "25.00"), ""
    if story == "refund of what is spent":
        spent = {"reference_id": "spent", "amount": "20.00", "currency": "USD"}
        await world.post(f"/v1/organizations/{organization_id}/wallet/debits", spent)
    elif story == "dispute that is won" or actor.name == "paypal":  # a lost dispute takes the money
        dispute_id = await actor.dispute_payment(payment_id)
        await world.applied(organization_id, "suspended")
        await world.at_rest(organization_id)
    return organization_id, payment_id, dispute_id


async def _tell(
    actor: Actor, story: str, organization_id: str, payment_id: str, dispute_id: str
) -> Staged:
    won = story == "dispute that is won"
    if story == "refund of what is spent":
        refund = await actor.act(f"payments/{payment_id}/refund")
        await actor.deliver(ids_of(refund))
        return Staged(organization_id, refund["object"]["id"], won)
    if dispute_id:
        await actor.settle(dispute_id, lost=not won)
    else:
        dispute_id = await actor.dispute_payment(payment_id)
    return Staged(organization_id, dispute_id, won)


async def _hold(
    stack: AsyncExitStack, world: World, case: Case, staged: Staged
) -> Callable[[], Awaitable[object]]:
    """Make the worker stop at the boundary; the returned function waits until it has stopped there."""
    provider, _, boundary = case
    if boundary == "asking":
        simulator = world.paypal if provider == "paypal" else world.stripe
        fault = simulator.faults.add(
            "timeout_before", method="GET", path=f"/.*/{staged.object_id}$"
        )

        async def queried() -> bool:
            return fault.hits > 0

        return lambda: until(queried, f"query of {case}")
    if boundary == "booking":
        engine = world.services.engine
        conn = await stack.enter_async_context(engine.connect())
        await wallets.lock(conn, staged.organization_id)
        pid = (await conn.execute(text("SELECT pg_backend_pid()"))).scalar_one()

        async def waited_for() -> bool:
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE CAST(:pid AS int) = ANY "
                "(pg_blocking_pids(pid))"
            )
            return await number(engine, waiting, pid=pid) > 0

        return lambda: until(waited_for, f"{case} within its transaction")

    async def settled() -> bool:
        return await _settled(world, case, staged)

    return lambda: until(settled, f"{case} booked")


async def _settled(world: World, case: Case, staged: Staged) -> bool:
    """The expected reversals are booked: PayPal took nothing for a dispute that was won."""
    booked = await rows(
        world.services.engine,
        "SELECT returned_at FROM reversals WHERE object_id = :id",
        id=staged.object_id,
    )
    if staged.won and case[0] == "paypal":
        blocks = await world.read(lambda conn: standings.held_blocks(conn, staged.organization_id))
        return not blocks
    return bool(booked) and (booked[0].returned_at is not None) is staged.won


@pytest.mark.parametrize("case", CASES, ids="-".join)
async def test_another_worker_books_once_what_a_killed_one_began(crash: Crash, case: Case) -> None:
    world, staged = crash.world, crash.staged[case]
    provider, story, _ = case

    async def settled() -> bool:
        return await _settled(world, case, staged)

    await until(settled, f"{case} booked")
    await world.applied(staged.organization_id, "active" if staged.won else "suspended")
    await world.at_rest(staged.organization_id)

    page = await world.read(
        lambda conn: ledger.page(conn, staged.organization_id, before_seq=None, limit=100)
    )
    moved = [
        (entry.entry.kind.value, entry.entry.amount_micros // 1_000_000) for entry in reversed(page)
    ]
    owed = await world.read(lambda conn: receivables.owed(conn, staged.organization_id))
    expected = {
        "refund of what is spent": [("credit", 25), ("debit", -20), ("reversal", -5)],
        "dispute that takes": [("credit", 25), ("reversal", -25)],
        "dispute that is won": [("credit", 25)]
        if provider == "paypal"
        else [("credit", 25), ("reversal", -25), ("credit", 25)],
    }
    assert moved == expected[story]
    assert owed.total == (20_000_000 if story == "refund of what is spent" else 0)
    assert (await world.wallet(staged.organization_id)).gate_open is staged.won


async def test_every_guarantee_holds_after_the_crash(crash: Crash) -> None:
    await crash.world.certify()
