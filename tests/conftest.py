"""The servers of the tests: one PostgreSQL and one Temporal per session, one database per test."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from devservers import postgres as postgres_server
from devservers import temporal
from devservers.postgres import Postgres
from runtime import client, database, migrations
from runtime.processes import exit_now
from runtime.settings import Settings
from tests import lock_order
from tests.soak import MARKER, Examples

TEMPLATE = "tollgate_template"
ROOMY = 6 * 1024**3
"""Bytes: two servers of 1 GiB of write-ahead log each, and what the largest tests fill."""
_session = pytest.StashKey[pytest.Session]()


@pytest.fixture(scope="session")
def out_of_order() -> Iterator[list[str]]:
    with lock_order.watched() as found:
        yield found


@pytest.fixture(autouse=True)
def locks_in_order(out_of_order: list[str]) -> Iterator[None]:
    """In every test, no transaction may lock rows in an order that could deadlock."""
    out_of_order.clear()
    yield
    assert not out_of_order, "\n".join(out_of_order)


@pytest.fixture(scope="session")
def server_dir() -> Iterator[Path]:
    """A directory with a short path that every user may enter: pytest's own directory is private."""
    path = Path(tempfile.mkdtemp(prefix="tollgate-test-", dir=_memory()))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _memory() -> Path | None:
    """Memory with the interface of a disk, if there is plenty: there a database is copied in a
    quarter of the time.
    """
    path = Path("/dev/shm")
    roomy = path.is_dir() and shutil.disk_usage(path).free > ROOMY
    return path if roomy else None


@pytest.fixture(scope="session")
def postgres(server_dir: Path) -> Iterator[Postgres]:
    """A server with the migrated database TEMPLATE. Tests kill processes, not the machine, so it
    need not sync. With TEST_POSTGRES=16 in the environment it is of the oldest version.
    """
    version = int(os.environ.get("TEST_POSTGRES", postgres_server.VERSION))
    server = Postgres(server_dir, {"fsync": "off"}, version=version)
    server.start()
    _run(server, sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
    migrations.migrate(server.url(TEMPLATE))
    yield server
    server.stop()


@pytest.fixture
def database_url(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The test's own migrated, empty database."""
    with fresh_database(postgres, f"test_{os.getpid()}_{abs(hash(request.node.nodeid))}") as url:
        yield url


@contextmanager
def fresh_database(postgres: Postgres, called: str) -> Iterator[str]:
    """A migrated, empty database until the block ends; yields its URL."""
    name, template = sql.Identifier(called), sql.Identifier(TEMPLATE)
    _run(
        postgres,
        sql.SQL("create database {} template {} strategy file_copy").format(name, template),
    )
    yield postgres.url(called)
    _run(postgres, sql.SQL("drop database {} with (force)").format(name))


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = database.create_engine(database_url, pool_size=20, application_name="tests")
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(scope="session")
async def temporal_server(server_dir: Path) -> AsyncIterator[temporal.DevServer]:
    """Shared by the session: each test uses its own task queues and workflow ids."""
    async with temporal.serve(
        server_dir / "temporal.log", Settings().cache_dir, ui=False
    ) as server:
        yield server


@pytest_asyncio.fixture(scope="session")
async def temporal_client(temporal_server: temporal.DevServer) -> Client:
    return await client.connect(temporal_server.connection)


@pytest.fixture
def broken_connections_are_collected() -> Iterator[None]:
    """In the test that lost them, not in whichever runs when Python collects garbage."""
    yield
    gc.collect()


def _run(server: Postgres, statement: sql.Composed) -> None:
    conninfo = server.url("postgres").replace("+psycopg", "")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement)


def pytest_configure(config: pytest.Config) -> None:
    Examples.soaking = config.getoption("markexpr") == MARKER


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[_session] = session


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Exit here, after the summary: the interpreter's own shutdown may abort a process that used
    the Temporal client.
    """
    session = config.stash.get(_session, None)
    if session is not None and "temporalio.bridge" in sys.modules:
        config.get_terminal_writer().flush()
        exit_now(int(session.exitstatus))
