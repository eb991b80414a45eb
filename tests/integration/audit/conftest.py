"""A database that the tests of one module share: each reads it, or breaks it in its own
transaction.
"""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from devservers.postgres import Postgres
from runtime import database
from tests.conftest import fresh_database


@pytest_asyncio.fixture(scope="module")
async def module_engine(
    postgres: Postgres, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncEngine]:
    name = request.node.path.stem
    with fresh_database(postgres, f"test_{os.getpid()}_{name}") as url:
        engine = database.create_engine(url, pool_size=5, application_name="tests")
        yield engine
        await engine.dispose()
