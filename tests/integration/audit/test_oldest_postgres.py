"""The oldest PostgreSQL that is served can do everything that the newest one can."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from db.audit import certify
from db.campaigns import runs
from devservers.postgres import Postgres
from domain.campaigns.waits import Waits
from runtime.database import create_engine
from runtime.migrations import migrate
from runtime.server_wait import log_waiting
from runtime.servers import OLDEST_POSTGRES, await_schema
from tests.builders import campaign, number, onboard, rows
from tests.integration.audit import story


@pytest.fixture(scope="module")
def oldest() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tollgate-test-") as directory:
        place = Path(directory)
        place.chmod(0o711)
        server = Postgres(place, {"fsync": "off"}, version=OLDEST_POSTGRES)
        server.start()
        migrate(server.url())
        yield server.url()
        server.stop()


@pytest_asyncio.fixture
async def engine(oldest: str) -> AsyncIterator[AsyncEngine]:
    built = create_engine(oldest, pool_size=4)
    yield built
    await built.dispose()


async def test_it_is_accepted_and_holds_a_story_of_everything(
    oldest: str, engine: AsyncEngine
) -> None:
    await await_schema(oldest, patience=timedelta(0), say=log_waiting)
    await story.live(engine)

    broken = [finding for finding in await certify.examine(engine) if not finding.holds]
    version = await number(engine, "SELECT current_setting('server_version_num')::int / 10000")

    assert not broken
    assert version == OLDEST_POSTGRES


async def test_what_a_campaign_waited_for_before_is_told(engine: AsyncEngine) -> None:
    await onboard(engine, "waiting")
    waits = await campaign(engine, organization_id="waiting")
    noted = []
    for reason in (Waits.PACE, Waits.PACE, Waits.TWILIO_LIMIT, None):
        async with engine.begin() as conn:
            noted.append(await runs.note(conn, "waiting", waits.id, reason))

    assert [each is not None and each.new for each in noted] == [True, False, True, True]


async def test_ids_are_made_in_the_order_of_time(engine: AsyncEngine) -> None:
    before = datetime.now(UTC)
    made = [
        row.id for row in await rows(engine, "SELECT uuidv7() AS id FROM generate_series(1, 50)")
    ]
    times = [datetime.fromtimestamp((each.int >> 80) / 1000, UTC) for each in made]

    assert all(isinstance(each, UUID) and each.version == 7 for each in made)
    assert len(set(made)) == 50
    assert times == sorted(times)
    assert abs(times[0] - before) < timedelta(minutes=1)
