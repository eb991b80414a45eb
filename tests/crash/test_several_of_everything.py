"""Three processes of the API behind nginx and three workers, killed one after the other under
webhooks, debits and campaigns, with a deployment in the middle: no request fails, and nothing is
lost.
"""

import random
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from devservers.ports import free_ports
from tests import nginx
from tests.builders import number, rows
from tests.crash import next_build
from tests.crash.load import Load
from tests.crash.processes import Running, api, migrate, worker
from tests.crash.test_campaigns_killed import _campaign, _each_once, _handed_over, _resolve
from tests.nginx import needs_nginx
from tests.workflow.campaigns.sent import comes_to
from tests.world import World, until

EACH = 3
KILLS = 8
CAMPAIGNS = 3
DEBITS = "SELECT count(*) FROM ledger_entries WHERE kind = 'debit' AND organization_id = :id"


@dataclass(slots=True)
class Fleet:
    """`environment` is that of the build which starts next; a port, or a worker's number, keeps its
    place when its process is replaced.
    """

    stack: AsyncExitStack
    world: World
    environment: dict[str, str]
    apis: dict[int, Running] = field(default_factory=dict)
    workers: dict[int, Running] = field(default_factory=dict)
    started: int = 0

    async def start_api(self, port: int) -> None:
        self.started += 1
        starting = api(self.world, port, f"api-{self.started}", **self.environment)
        self.apis[port] = await self.stack.enter_async_context(starting)

        async def ready() -> bool:
            with suppress(httpx.TransportError):
                answer = await self.world.api.get(f"http://127.0.0.1:{port}/health/ready")
                return answer.status_code == 200
            return False

        await until(ready, f"the API on port {port} ready")

    async def start_worker(self, place: int) -> None:
        self.started += 1
        starting = worker(self.world, f"worker-{self.started}", **self.environment)
        self.workers[place] = await self.stack.enter_async_context(starting)

    async def kill_api(self, port: int) -> None:
        self.apis[port].kill()
        await self.start_api(port)

    async def kill_worker(self, place: int) -> None:
        self.workers[place].kill()
        await self.start_worker(place)

    async def replace_all(self) -> None:
        for port, running in list(self.apis.items()):
            assert await running.terminate() == 0
            await self.start_api(port)
        for place, running in list(self.workers.items()):
            assert await running.terminate() == 0
            await self.start_worker(place)


@needs_nginx
@pytest.mark.soak
async def test_what_dies_one_after_the_other_fails_no_request_and_loses_nothing(
    world: World, tmp_path: Path
) -> None:
    moments = random.Random(20261130)
    payer, _ = await world.organization(balance="1000.00")
    changing, subscription_id = await world.organization()
    following = next_build.write(tmp_path / "next")
    ports = free_ports(EACH)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    async with nginx.nginx(tmp_path, addresses) as proxy, AsyncExitStack() as stack:
        common = {"TOLLGATE_PUBLIC_URL": proxy.plain_url, "TOLLGATE_DRAIN_PERIOD": "PT1S"}
        fleet = Fleet(stack, world, common)
        for place, port in enumerate(ports):
            await fleet.start_api(port)
            await fleet.start_worker(place)
        headers = {"authorization": world.api.headers["authorization"], "host": nginx.NAME}
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=proxy.url, verify=proxy.trusted, headers=headers, timeout=60)
        )
        load = Load(world, client)
        running = [await _campaign(world) for _ in range(CAMPAIGNS)]
        async with load.running(payer, subscription_id):
            await _kill_some(fleet, load, moments)
            await migrate(world, **following)
            fleet.environment = common | following
            await fleet.replace_all()
            running += [await _campaign(world) for _ in range(CAMPAIGNS)]
            await _kill_some(fleet, load, moments)
        for organization_id, campaign_id in running:
            await _handed_over(world, organization_id, campaign_id)
        await _resolve(world, running)
        for organization_id, campaign_id in running:
            await world.services.notifier.notify_campaign(organization_id, campaign_id)
            await comes_to(world, organization_id, campaign_id, "completed")
        await world.at_rest(changing)

    assert not load.failures
    assert await number(world.services.engine, DEBITS, id=payer) == load.debits
    assert (await world.standing(changing)).status == "active"
    [(revision,)] = await rows(world.services.engine, "SELECT version_num FROM alembic_version")
    assert revision == next_build.REVISION
    await _each_once(world, running)
    await world.certify()


async def _kill_some(fleet: Fleet, load: Load, moments: random.Random) -> None:
    """APIs and workers in turn; which one, and after how many requests, is random."""
    for kill in range(KILLS):
        for _ in range(moments.randint(1, 3)):
            await load.some_more()
        if kill % 2:
            await fleet.kill_worker(moments.choice(list(fleet.workers)))
        else:
            await fleet.kill_api(moments.choice(list(fleet.apis)))
