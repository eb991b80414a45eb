"""How a process logs in: a password that is read from a file anew, and TLS that is required."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from devservers.postgres import Postgres
from runtime import database
from runtime.servers import await_database
from runtime.settings import BadSettings
from tests.conftest import _run
from tests.integration.runtime.conftest import Remote

ROLE = sql.Identifier("rotated")


@pytest.fixture
def asks_for_a_password(postgres: Postgres) -> Iterator[Postgres]:
    rules = postgres.data_dir / "postgres" / "pg_hba.conf"
    before = rules.read_text()
    _run(postgres, sql.SQL("create role {} login superuser").format(ROLE))
    rules.write_text(f"local all rotated scram-sha-256\n{before}")
    _run(postgres, sql.SQL("select pg_reload_conf()").format())
    yield postgres
    rules.write_text(before)
    _run(postgres, sql.SQL("select pg_reload_conf()").format())
    _run(postgres, sql.SQL("drop role {}").format(ROLE))


async def log_in(engine: AsyncEngine) -> None:
    async with engine.connect() as conn:
        await conn.execute(text("SELECT 1"))
        await conn.invalidate()


async def test_a_password_file_is_read_for_each_new_connection(
    asks_for_a_password: Postgres, database_url: str, tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords"
    url = make_url(database_url).set(username="rotated")
    engine = database.create_engine(
        url.update_query_dict({"passfile": str(passwords)}), pool_size=1
    )

    def rotate(password: str) -> None:
        alter = sql.SQL("alter role {} password {}")
        _run(asks_for_a_password, alter.format(ROLE, sql.Literal(password)))

    def write(password: str) -> None:
        passwords.write_text(f"*:*:*:*:{password}\n")
        passwords.chmod(0o600)

    rotate("first")
    write("first")
    await log_in(engine)
    rotate("second")
    with pytest.raises(OperationalError, match="password authentication failed"):
        await log_in(engine)
    write("second")
    await log_in(engine)
    await engine.dispose()


async def test_a_server_without_tls_is_refused_at_once_where_tls_is_required(
    remote: Remote,
) -> None:
    url = make_url(remote.url).update_query_dict(
        {"sslmode": "verify-full", "sslrootcert": "system"}
    )

    with pytest.raises(BadSettings, match="server does not support SSL, but SSL was required"):
        await await_database(
            url.render_as_string(hide_password=False), patience=timedelta(minutes=5), say=print
        )
