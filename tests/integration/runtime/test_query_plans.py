"""No statement that runs often reads a growing table from end to end, among 100,000 organizations.

PostgreSQL is asked how it executes what the code really sent, for whatever parameters come next.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from db.audit import explanations, figures
from db.campaigns import messages, parked_campaigns, refusals, runs, status_checks
from db.inbox import adoption, listed_events
from db.lifecycle import organizations, standing_counts, unnotified
from db.switching import switches
from db.wallet import holds, seals
from devservers.postgres import Postgres
from domain.billing.subscription import Provider
from runtime import database
from tests import scale
from tests.conftest import fresh_database
from tests.plans import Recorded, recorded

ORGANIZATIONS = 100_000
SMALL = {"listings", "migration_cohorts", "rates", "api_keys", "standing_counts"}
"""Tables with a row for each provider, country, key or, added up, status."""
NOW = datetime.now(UTC)


@pytest_asyncio.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[str]:
    with fresh_database(postgres, "test_query_plans") as url:
        engine = database.create_engine(url, pool_size=1)
        await scale.fill(engine, ORGANIZATIONS)
        await engine.dispose()
        yield url


@pytest.fixture
def database_url(filled: str) -> str:
    return filled


def scans(found: Recorded) -> list[str]:
    assert found.scanned, "nothing was executed"
    return [
        f"{', '.join(sorted(tables - SMALL))} by: {statement}"
        for statement, tables in found.scanned.items()
        if tables - SMALL
    ]


async def test_what_runs_every_few_seconds(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        started = await seals.seal(conn)
    async with recorded(engine) as found, engine.begin() as conn:
        for everything in (False, True):
            await unnotified.organizations(conn, now=NOW, limit=200, everything=everything)
        await unnotified.notify_soon(conn, ["org-1"], now=NOW)
        await unnotified.owing(conn, limit=100)
        await runs.mark_silent(conn, before=NOW, limit=200)
        await runs.watch(conn, now=NOW)
        await refusals.forget(conn, now=NOW)
        await holds.due(conn, now=NOW, limit=100)
        await parked_campaigns.may_go_on(conn, now=NOW, limit=100)
        await status_checks.take(conn, now=NOW)
        await adoption.adopt(conn, now=NOW)
        await seals.seal(conn, replace(started.found, waiting=("org-1", "org-2")))
        await standing_counts.add_up(conn)

    assert not scans(found), "\n".join(scans(found))


async def test_what_reconciles(engine: AsyncEngine) -> None:
    async with recorded(engine) as found, engine.begin() as conn:
        await switches.open_ones(conn, limit=1000)
        await messages.unsettled_organizations(conn, before=NOW, limit=1000)
        await status_checks.add_undecided(conn, now=NOW)
        await organizations.page(conn, after="org-5", limit=50)
        await organizations.page(conn, after=None, limit=50)
        for provider in Provider:
            await listed_events.listed_until(conn, provider)
            await listed_events.arrivals(conn, provider, NOW - timedelta(minutes=15), NOW)

    assert not scans(found), "\n".join(scans(found))


async def test_a_scrape(engine: AsyncEngine) -> None:
    async with recorded(engine) as found, engine.begin() as conn:
        await figures.read(conn, now=NOW)

    assert not scans(found), "\n".join(scans(found))


async def test_what_explains_an_organization(engine: AsyncEngine) -> None:
    async with recorded(engine) as found, engine.begin() as conn:
        await explanations.explain(conn, scale.BIGGEST)
        await explanations.why_not(conn, scale.BIGGEST)

    assert not scans(found), "\n".join(scans(found))
