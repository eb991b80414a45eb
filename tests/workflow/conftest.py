"""A world for each test: its own database, queues and simulators, on the session's servers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client

from simulators.paypal.certificate import Authority
from tests.world import World, world


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest_asyncio.fixture
async def idle_world(
    database_url: str, temporal_client: Client, tmp_path: Path, authority: Authority
) -> AsyncIterator[World]:
    """Without a worker: whatever is rung waits."""
    async with world(database_url, temporal_client, tmp_path, authority) as here:
        yield here


@pytest_asyncio.fixture(name="world")
async def busy_world(idle_world: World) -> World:
    """With a worker on both queues."""
    idle_world.start_worker()
    return idle_world
