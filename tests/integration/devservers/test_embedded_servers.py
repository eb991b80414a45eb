"""The embedded servers start, survive a kill, share a directory and end with their parent."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from devservers import postgres
from devservers.postgres import Postgres
from runtime import search_attributes
from runtime.search_attributes import SEARCH_ATTRIBUTES

PARENT = """
import sys, time
from pathlib import Path
from devservers.postgres import Postgres
server = Postgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tollgate-test-") as path:
        Path(path).chmod(0o711)
        yield Path(path)


async def test_each_test_has_a_migrated_database_of_postgres_18(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        version = await connection.scalar(text("show server_version_num"))
        tables = await connection.scalar(
            text("select count(*) from pg_tables where schemaname = 'public'")
        )
        lock_timeout = await connection.scalar(text("show lock_timeout"))
        idle_timeout = await connection.scalar(text("show idle_in_transaction_session_timeout"))

    assert int(version or 0) >= 180000
    assert (tables or 0) > 1
    assert lock_timeout == "5s"
    assert idle_timeout == "1min"


def test_a_killed_postgres_starts_again_with_what_was_committed(data_dir: Path) -> None:
    with postgres.serve(data_dir) as server:
        with _connected(server) as connection:
            connection.execute("create table kept as select 1 as n")
        server.kill()
        server.start()

        with _connected(server) as connection:
            assert connection.execute("select n from kept").fetchone() == (1,)
            assert connection.execute("show fsync").fetchone() == ("on",)


def test_a_second_process_uses_the_server_that_runs_and_leaves_it_running(data_dir: Path) -> None:
    with postgres.serve(data_dir) as first:
        with postgres.serve(data_dir) as second:
            assert second.url() == first.url()
            assert second.pid is None

        with _connected(first) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_long_data_directory_still_gets_a_socket(data_dir: Path) -> None:
    deep = data_dir / ("a" * 60) / ("b" * 60)
    with postgres.serve(deep) as server, _connected(server) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_postgres_ends_with_its_parent(data_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data_dir)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        parent.kill()

    assert _gone_within(server, seconds=10)


async def test_the_dev_server_knows_our_search_attributes(temporal_client: Client) -> None:
    await search_attributes.register(temporal_client)

    attributes = await temporal_client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=temporal_client.namespace)
    )
    assert set(SEARCH_ATTRIBUTES) <= set(attributes.custom_attributes)


@contextmanager
def _connected(server: Postgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


def _gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True  # ended, and not yet reaped by init
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False
