"""Worlds whose worker or API runs as a separate process, so that tests can kill it."""

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


@pytest_asyncio.fixture(name="world")
async def fresh_world(
    database_url: str, temporal_client: Client, tmp_path: Path, authority: Authority
) -> AsyncIterator[World]:
    """Without a worker."""
    async with world(database_url, temporal_client, tmp_path, authority) as running_world:
        yield running_world
