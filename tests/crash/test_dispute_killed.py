"""One SIGKILL finds the worker before, within and after the booking of refunds and disputes, at
both providers.
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

from db.billing import reversals
from db.lifecycle import standings
from db.wallet import wallets
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
    """Its last events are delivered while no worker runs; `object_id` is the refund or the dispute
    they are about.
    """

    organization_id: str
    object_id: str
    won: bool


@dataclass(frozen=True, slots=True)
class Crash:
    world: World
    staged: dict[Case, Staged]


def actor_of(here: World, provider: str) -> Actor:
    return (
        AtPayPal(here, here.paypal_control)
        if provider == "paypal"
        else AtStripe(here, here.stripe_control)
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
        async with world(url, temporal_client, directory, authority) as here:
            staged = await _staged(here)
            async with AsyncExitStack() as stack:
                waits = [await _hold(stack, here, case, one) for case, one in staged.items()]
                first = await stack.enter_async_context(worker(here, "first"))
                for wait in waits:
                    await wait()
                first.kill()
            here.paypal.faults.clear()
            here.stripe.faults.clear()
            async with worker(here, "second"):
                yield Crash(here, staged)


async def _staged(here: World) -> dict[Case, Staged]:
    here.start_worker()
    before = {case: await _prepare(here, actor_of(here, case[0]), case[1]) for case in CASES}
    await here.stop_workers()
    return {
        case: await _tell(actor_of(here, case[0]), case[1], *told) for case, told in before.items()
    }


async def _prepare(here: World, actor: Actor, story: str) -> tuple[str, str, str]:
    """The organization, its top-up and the dispute of it, if it is open before the crash."""
    organization_id = await onboard(here, balance="0")
    payment_id, dispute_id = await actor.top_up(organization_id, "25.00"), ""
    if story == "refund of what is spent":
        spent = {"reference_id": "spent", "amount": "20.00", "currency": "USD"}
        await here.post(f"/v1/organizations/{organization_id}/wallet/debits", spent)
    elif (
        story == "dispute that is won" or actor.name == "paypal"
    ):  # which takes with the dispute that is lost
        dispute_id = await actor.dispute_payment(payment_id)
        await here.applied(organization_id, "suspended")
        await here.at_rest(organization_id)
    return organization_id, payment_id, dispute_id


async def _tell(
    actor: Actor, story: str, organization_id: str, payment_id: str, dispute_id: str
) -> Staged:
    won = story == "dispute that is won"
    if story == "refund of what is spent":
        told = await actor.act(f"payments/{payment_id}/refund")
        await actor.deliver(ids_of(told))
        return Staged(organization_id, told["object"]["id"], won)
    if dispute_id:
        await actor.settle(dispute_id, lost=not won)
    else:
        dispute_id = await actor.dispute_payment(payment_id)
    return Staged(organization_id, dispute_id, won)


async def _hold(
    stack: AsyncExitStack, here: World, case: Case, one: Staged
) -> Callable[[], Awaitable[object]]:
    """Make the worker stop at the boundary; what is returned waits until it stands there."""
    provider, _, boundary = case
    if boundary == "asking":
        simulator = here.paypal if provider == "paypal" else here.stripe
        fault = simulator.faults.add("timeout_before", method="GET", path=f"/.*/{one.object_id}$")

        async def asked() -> bool:
            return fault.hits > 0

        return lambda: until(asked, f"{case} asked for")
    if boundary == "booking":
        engine = here.services.engine
        conn = await stack.enter_async_context(engine.connect())
        await wallets.lock(conn, one.organization_id)
        pid = (await conn.execute(text("SELECT pg_backend_pid()"))).scalar_one()

        async def waited_for() -> bool:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE CAST(:pid AS int) = ANY (pg_blocking_pids(pid))"
            return await number(engine, waiting, pid=pid) > 0

        return lambda: until(waited_for, f"{case} within its transaction")

    async def settled() -> bool:
        return await _settled(here, case, one)

    return lambda: until(settled, f"{case} booked")


async def _settled(here: World, case: Case, one: Staged) -> bool:
    """What is to be booked is booked: PayPal took nothing for a dispute that is won."""
    booked = await rows(
        here.services.engine,
        "SELECT returned_at FROM reversals WHERE object_id = :id",
        id=one.object_id,
    )
    if one.won and case[0] == "paypal":
        held = await here.read(lambda conn: standings.held_blocks(conn, one.organization_id))
        return not held
    return bool(booked) and (booked[0].returned_at is not None) is one.won


@pytest.mark.parametrize("case", CASES, ids="-".join)
async def test_another_worker_books_once_what_a_killed_one_began(crash: Crash, case: Case) -> None:
    here, one = crash.world, crash.staged[case]
    provider, story, _ = case

    async def settled() -> bool:
        return await _settled(here, case, one)

    await until(settled, f"{case} booked")
    await here.applied(one.organization_id, "active" if one.won else "suspended")
    await here.at_rest(one.organization_id)

    page = await here.read(
        lambda conn: wallets.entries_page(conn, one.organization_id, before_seq=None, limit=100)
    )
    moved = [
        (entry.entry.kind.value, entry.entry.amount_micros // 1_000_000) for entry in reversed(page)
    ]
    owed = await here.read(lambda conn: reversals.owed(conn, one.organization_id))
    expected = {
        "refund of what is spent": [("credit", 25), ("debit", -20), ("reversal", -5)],
        "dispute that takes": [("credit", 25), ("reversal", -25)],
        "dispute that is won": [("credit", 25)]
        if provider == "paypal"
        else [("credit", 25), ("reversal", -25), ("credit", 25)],
    }
    assert moved == expected[story]
    assert owed == (20_000_000 if story == "refund of what is spent" else 0)
    assert (await here.wallet(one.organization_id)).gate_open is one.won


async def test_every_guarantee_holds_after_the_crash(crash: Crash) -> None:
    await crash.world.certify()
