"""Debits, webhooks and campaigns through PgBouncer: the same tests, on pooled sessions."""

from datetime import timedelta
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from devservers.postgres import Postgres
from runtime import database, migrations
from runtime.servers import await_database
from runtime.settings import BadSettings
from tests.conftest import _run
from tests.integration.acceptance.test_concurrent_debits import *  # noqa: F403
from tests.integration.acceptance.test_idempotent_webhook import *  # noqa: F403
from tests.integration.campaigns.test_reservations import *  # noqa: F403
from tests.integration.pooler.conftest import pooled
from tests.integration.wallet.test_coalescer import *  # noqa: F403

NONE = timedelta(0)


async def test_the_limits_of_a_session_hold_behind_a_pooler(
    engine: AsyncEngine, database_url: str
) -> None:
    schema = await await_database(database_url, patience=NONE, say=print)

    async with engine.connect() as conn:
        limits = {
            name: (await conn.execute(text(f"SHOW {name}"))).scalar_one()
            for name in database.SESSION_LIMITS_MS
        }
    assert schema.revision == migrations.known_revisions()[-1]
    assert list(limits.values()) == ["10s", "5s", "1min"]


async def test_a_pooler_that_loses_the_limits_is_refused_with_the_statement_that_helps(
    database_url: str, postgres: Postgres
) -> None:
    name = sql.Identifier(str(make_url(database_url).database))
    _run(postgres, sql.SQL("alter database {} set lock_timeout = 0").format(name))

    with pytest.raises(BadSettings, match=r'ALTER ROLE "postgres" SET lock_timeout = 5000$'):
        await await_database(database_url, patience=NONE, say=print)


async def test_a_pooler_that_loses_prepared_statements_is_refused(
    postgres: Postgres, server_dir: Path, direct_url: str
) -> None:
    settings = ("ignore_startup_parameters = options", "max_prepared_statements = 0")
    with pooled(postgres, server_dir, *settings) as url:
        for _ in range(2):  # the second time the session already has the statement
            with pytest.raises(BadSettings, match=r"PgBouncer 1\.21 or later is needed"):
                await await_database(_named(url, direct_url), patience=NONE, say=print)


async def test_a_pooler_that_refuses_our_parameters_is_reported_with_its_remedy(
    postgres: Postgres, server_dir: Path, direct_url: str
) -> None:
    with (
        pooled(postgres, server_dir) as url,
        pytest.raises(BadSettings, match="set ignore_startup_parameters = options in PgBouncer"),
    ):
        await await_database(_named(url, direct_url), patience=NONE, say=print)


def test_migrations_do_not_run_behind_a_pooler(database_url: str) -> None:
    with pytest.raises(BadSettings, match="`tollgate migrate` needs the server itself"):
        migrations.migrate(database_url)


def _named(url: URL, direct_url: str) -> str:
    return url.set(database=make_url(direct_url).database).render_as_string(hide_password=False)
