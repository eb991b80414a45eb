"""The points between two steps where a worker can die: each holds one organization there until it
is released.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from domain.lifecycle.standing import Status
from simulators.faults import Fault, Faults
from tests.builders import number
from tests.world import World, until


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """An organization with a campaign, being suspended or reactivated."""

    towards: Status
    organization_id: str
    subscription_id: str
    account_sid: str
    campaign_id: UUID


Boundary = Callable[[World, Staged], AbstractAsyncContextManager[Callable[[], Any]]]


@asynccontextmanager
async def _fault(
    faults: Faults, kind: str, method: str, path: str
) -> AsyncIterator[Callable[[], Any]]:
    fault: Fault = faults.add(kind, method=method, path=path)

    async def struck() -> bool:
        return fault.hits > 0

    try:
        yield lambda: until(struck, f"{kind} of {method} {path}")
    finally:
        faults.standing.remove(fault)


@asynccontextmanager
async def confirming(world: World, staged: Staged) -> AsyncIterator[Callable[[], Any]]:
    """PayPal has received the query and has not answered."""
    path = f"/v1/billing/subscriptions/{staged.subscription_id}"
    async with _fault(world.paypal.faults, "timeout_before", "GET", path) as reached:
        yield reached


@asynccontextmanager
async def twilio_unanswered(world: World, staged: Staged) -> AsyncIterator[Callable[[], Any]]:
    """Twilio received the request but did nothing."""
    path = f"/2010-04-01/Accounts/{staged.account_sid}.json"
    async with _fault(world.twilio.faults, "timeout_before", "POST", path) as reached:
        yield reached


@asynccontextmanager
async def twilio_done(world: World, staged: Staged) -> AsyncIterator[Callable[[], Any]]:
    """Twilio did it, but its answer was lost."""
    path = f"/2010-04-01/Accounts/{staged.account_sid}.json"
    async with _fault(world.twilio.faults, "timeout_after_acceptance", "POST", path) as reached:
        yield reached


@asynccontextmanager
async def twilio_read_back(world: World, staged: Staged) -> AsyncIterator[Callable[[], Any]]:
    """The first step is in the receipt; the wallet's row is locked, so the second cannot commit."""
    lock = "SELECT 1 FROM wallets WHERE organization_id = :id FOR UPDATE"
    async with _locked(world, lock, staged, steps=1) as reached:
        yield reached


@asynccontextmanager
async def wallet_done(world: World, staged: Staged) -> AsyncIterator[Callable[[], Any]]:
    """The second step is in the receipt; the campaigns' rows are locked, so the third cannot
    commit.
    """
    lock = "SELECT 1 FROM campaigns WHERE organization_id = :id FOR UPDATE"
    async with _locked(world, lock, staged, steps=2) as reached:
        yield reached


@asynccontextmanager
async def all_done(world: World, staged: Staged) -> AsyncIterator[Callable[[], Any]]:
    """Everything is applied, but the workflow may not have received the result."""
    yield lambda: world.applied(staged.organization_id, staged.towards)


@asynccontextmanager
async def _locked(
    world: World, lock: str, staged: Staged, *, steps: int
) -> AsyncIterator[Callable[[], Any]]:
    """For a reactivation, the hold begins while Twilio does not answer, because the code before the
    first step locks the row, too.

    For a suspension it begins at once: a campaign that checks the gate earlier would park itself.
    """
    engine, faults = world.services.engine, world.twilio.faults
    fault = faults.add("503", method="POST", path=f"/2010-04-01/Accounts/{staged.account_sid}.json")

    async def read_three_times() -> bool:
        return (
            fault.hits >= 3
        )  # by then the relay has notified the workflow, and the notification is confirmed

    async def reached() -> bool:
        receipt = await world.receipt(staged.organization_id)
        return (receipt.status, len(receipt.steps)) == (staged.towards, steps)

    async with engine.connect() as conn:

        async def waited_for() -> bool:
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE CAST(:pid AS int) = ANY "
                "(pg_blocking_pids(pid))"
            )
            return await number(engine, waiting, pid=pid) > 0

        async def holding() -> None:
            await until(read_three_times, f"the first step of {staged.organization_id}")
            if staged.towards is Status.ACTIVE:
                await conn.execute(text(lock), {"id": staged.organization_id})
            faults.standing.remove(fault)
            await until(reached, f"step {steps} of {staged.organization_id}")
            await until(waited_for, "a wait for the lock")

        pid = (await conn.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        if staged.towards is Status.SUSPENDED:
            await conn.execute(text(lock), {"id": staged.organization_id})
        yield holding
        await conn.rollback()


BOUNDARIES: dict[str, Boundary] = {
    "confirming": confirming,
    "twilio_unanswered": twilio_unanswered,
    "twilio_done": twilio_done,
    "twilio_read_back": twilio_read_back,
    "wallet_done": wallet_done,
    "all_done": all_done,
}


@asynccontextmanager
async def stopped_at_boundaries(
    world: World, staged: Mapping[tuple[Status, str], Staged]
) -> AsyncIterator[Callable[[], Any]]:
    """Every organization at its boundary; the yielded function waits until the worker has reached
    all of them.
    """
    async with AsyncExitStack() as stack:
        waits = [
            await stack.enter_async_context(BOUNDARIES[name](world, staged_case))
            for (_, name), staged_case in staged.items()
        ]

        async def all_reached() -> None:
            await asyncio.gather(*(wait() for wait in waits))

        yield all_reached
