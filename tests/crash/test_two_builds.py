"""A deployment replaces each process, with a migration in between, under webhooks and debits: none
of them fails.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx

from devservers.ports import free_ports
from tests.builders import number, rows
from tests.crash import next_build
from tests.crash.balancer import Balancer
from tests.crash.load import Load
from tests.crash.processes import Running, api, migrate, worker
from tests.soak import also_soaking
from tests.world import World

DRAIN = "PT3S"
MICROS = 10_000
DEBITS = "SELECT count(*) FROM ledger_entries WHERE kind = 'debit'"


@dataclass(slots=True)
class Deployment:
    """The processes that run now; `environment` is that of their build."""

    stack: AsyncExitStack
    world: World
    balancer: Balancer
    environment: dict[str, str] = field(default_factory=dict)
    _apis: dict[int, Running] = field(default_factory=dict)
    _worker: Running | None = None
    _names: "count[int]" = field(default_factory=count)

    async def start_api(self) -> None:
        [port] = free_ports(1)
        starting = api(
            self.world,
            port,
            f"api-{next(self._names)}",
            **{"TOLLGATE_DRAIN_PERIOD": DRAIN} | self.environment,
        )
        self._apis[port] = await self.stack.enter_async_context(starting)
        await self.balancer.add(port)

    async def start_worker(self) -> None:
        name = f"worker-{next(self._names)}"
        self._worker = await self.stack.enter_async_context(
            worker(self.world, name, **self.environment)
        )

    async def replace_all(self, load: Load) -> None:
        """One after the other: the new process serves before the old one is stopped."""
        before = self._worker
        assert before is not None
        await self.start_worker()
        stopping = asyncio.create_task(before.terminate())
        for port, running in list(self._apis.items()):
            await self.start_api()
            await load.some_more()
            assert await running.terminate() == 0
            self.balancer.remove(port)
            del self._apis[port]
        assert await stopping == 0


@also_soaking
async def test_two_builds_share_a_migration_and_no_request_fails(
    world: World, tmp_path: Path, soaking: bool
) -> None:
    payer, _ = await world.organization(balance="1000.00")
    changing, subscription_id = await world.organization()
    following = next_build.write(tmp_path / "next")
    headers = {"authorization": world.api.headers["authorization"]}
    async with AsyncExitStack() as stack:
        balancer = await stack.enter_async_context(Balancer.serve())
        deployment = Deployment(stack, world, balancer)
        apis = (deployment.start_api() for _ in range(3 if soaking else 1))
        await asyncio.gather(*apis, deployment.start_worker())
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=balancer.url,
                headers=headers,
                limits=httpx.Limits(max_keepalive_connections=1),  # most connect anew
                timeout=60,
            )
        )
        load = Load(world, client)
        async with load.running(payer, subscription_id):
            await load.some_more()
            await migrate(world, **following)
            deployment.environment = following
            for _ in range(4 if soaking else 1):
                await deployment.replace_all(load)
            await load.some_more()
        await world.at_rest(changing)

    assert not load.failures
    assert await number(world.services.engine, DEBITS) == load.debits
    assert (await world.wallet(payer)).balance_micros == 1_000_000_000 - load.debits * MICROS
    assert (await world.standing(changing)).status == "active"
    [(revision,)] = await rows(world.services.engine, "SELECT version_num FROM alembic_version")
    assert revision == next_build.REVISION
    await world.certify()
