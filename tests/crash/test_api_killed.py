"""kill -9 of the API under a hundred callers: what was answered is in the ledger, and nothing is in
it twice.
"""

import asyncio
import signal

import httpx

from devservers.ports import free_ports
from tests.builders import number, rows
from tests.crash.load import Debits
from tests.crash.processes import api
from tests.world import World, until

CALLERS = 100
EACH = 4
ONE_CENT = 10_000


async def test_every_answered_debit_is_in_the_ledger_once(world: World) -> None:
    organization_id, _ = await world.organization(balance="100.00")
    [port] = free_ports(1)
    engine, key = world.services.engine, world.api.headers["authorization"]
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"authorization": key}, timeout=10
    ) as client:
        debits = Debits(client, organization_id)

        async def some_answered() -> bool:
            return len(debits.answered) >= CALLERS * EACH // 4

        async with api(world, port, "first") as first:
            calling = asyncio.gather(*(debits.call(f"caller-{n}", EACH) for n in range(CALLERS)))
            await until(some_answered, "debits under way")
            first.kill()
        answered_before = dict(debits.answered)
        in_ledger = {
            row.reference_id
            for row in await rows(
                engine, "SELECT reference_id FROM ledger_entries WHERE kind = 'debit'"
            )
        }
        async with api(world, port, "second"):
            await calling

    assert first.process.returncode == -signal.SIGKILL
    assert debits.unanswered > 0
    assert answered_before.keys() <= in_ledger
    assert len(debits.answered) == CALLERS * EACH
    assert (
        await number(engine, "SELECT count(*) FROM ledger_entries WHERE kind = 'debit'")
        == CALLERS * EACH
    )
    assert (
        await world.wallet(organization_id)
    ).balance_micros == 100_000_000 - CALLERS * EACH * ONE_CENT
    assert {seq for seq, _ in debits.answered.values()} == await _debit_seqs(world)
    await world.certify()


async def _debit_seqs(world: World) -> set[int]:
    return {
        row.seq
        for row in await rows(
            world.services.engine, "SELECT seq FROM ledger_entries WHERE kind = 'debit'"
        )
    }
