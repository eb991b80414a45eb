"""One world for all of these tests, on the session's servers; each test has its own organizations.

Faults are cleared after every test. A test that breaks something for all organizations creates its
own world.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client

from devservers.postgres import Postgres
from simulators.paypal.certificate import Authority
from tests.conftest import fresh_database
from tests.workflow.actors import Actor, AtPayPal, AtStripe
from tests.workflow.stops import Boundaries
from tests.world import World, world


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def boundaries() -> Boundaries:
    """Where a test may hold the steps of the shared world's worker."""
    return Boundaries()


@pytest_asyncio.fixture(scope="package")
async def shared_world(
    postgres: Postgres,
    temporal_client: Client,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    boundaries: Boundaries,
) -> AsyncIterator[World]:
    config = temporal_client.config()
    config["interceptors"] = [boundaries]
    client = Client(**config)
    with fresh_database(postgres, f"test_{os.getpid()}_shared_world") as url:
        async with world(url, client, tmp_path_factory.mktemp("world"), authority) as running_world:
            running_world.start_worker()
            yield running_world


@pytest_asyncio.fixture(name="world")
async def busy_world(shared_world: World) -> AsyncIterator[World]:
    """With a worker on both queues."""
    yield shared_world
    shared_world.heal()


@pytest_asyncio.fixture
async def idle_world(
    database_url: str, temporal_client: Client, tmp_path: Path, authority: Authority
) -> AsyncIterator[World]:
    """The test's own world without a worker: notifications wait."""
    async with world(database_url, temporal_client, tmp_path, authority) as running_world:
        yield running_world


@pytest_asyncio.fixture(params=["paypal", "stripe"])
async def actor(request: pytest.FixtureRequest, world: World) -> Actor:
    if request.param == "paypal":
        return AtPayPal(world, world.paypal_control)
    return AtStripe(world, world.stripe_control)
