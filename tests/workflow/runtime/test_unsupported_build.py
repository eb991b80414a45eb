"""A worker whose build the schema no longer supports ends, as it would not start again."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from runtime import schema_watch
from runtime.migrations import known_revisions
from runtime.settings import BadSettings
from runtime.worker import work
from tests.world import LIMIT, World


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_watch, "EVERY", timedelta(milliseconds=50))


async def migrate(world: World, revision: str, *, oldest_build: str) -> None:
    async with world.services.engine.begin() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
        await conn.execute(
            text("UPDATE schema_support SET oldest_build = :at"), {"at": oldest_build}
        )


async def test_a_worker_ends_when_a_migration_stops_supporting_its_build(idle_world: World) -> None:
    world = idle_world
    organization_id, _ = await world.organization()
    queues = [world.services.settings.lifecycle_task_queue]
    working = asyncio.create_task(work(world.services, queues, asyncio.Event()))
    await migrate(world, "9999", oldest_build=known_revisions()[-1])
    await world.at_rest(organization_id)  # it works on a newer schema
    assert not working.done()

    await migrate(world, "9999", oldest_build="9998")
    with pytest.raises(BadSettings, match="a newer build is needed"):
        await asyncio.wait_for(working, LIMIT)
