"""A real PgBouncer in transaction mode, with few sessions, in front of the tests' PostgreSQL."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from devservers.postgres import Postgres
from runtime.database import SESSION_LIMITS_MS
from tests.conftest import _run, fresh_database

STARTS_WITHIN = 60.0
OLDEST = (1, 21)


@contextmanager
def pooled(server: Postgres, directory: Path, *settings: str) -> Iterator[URL]:
    """The URL of a PgBouncer in front of the server, without a database."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("needs pgbouncer 1.21 or later in the PATH")
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    found = re.search(r"PgBouncer (\d+)\.(\d+)", version.stdout)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        pytest.skip(
            f"needs pgbouncer 1.21 or later, and this is {version.stdout.split(chr(10))[0]}"
        )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    configuration = directory / f"pgbouncer-{port}.ini"
    lines = [
        "[databases]",
        f"* = host={make_url(server.url()).query['host']} user=postgres",
        "[pgbouncer]",
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =",
        "auth_type = any\npool_mode = transaction\ndefault_pool_size = 10",
        "max_client_conn = 500",
        *settings,
    ]
    configuration.write_text("\n".join(lines) + "\n")
    as_user = "nobody" if os.geteuid() == 0 else None
    log = directory / f"pgbouncer-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, str(configuration)], user=as_user, stdout=output, stderr=output
        )
    with process:
        try:
            _await_port(port, process, log)
            yield URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", port=port)
        finally:
            process.kill()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:
        if "process up" in log.read_text():
            return
        with socket.socket() as probe:
            probe.settimeout(STARTS_WITHIN)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"PgBouncer did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def pooler(postgres: Postgres, server_dir: Path) -> Iterator[URL]:
    with pooled(postgres, server_dir, "ignore_startup_parameters = options") as url:
        yield url


@pytest.fixture
def direct_url(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The test's database, past the pooler."""
    with fresh_database(postgres, f"test_{os.getpid()}_{abs(hash(request.node.nodeid))}") as url:
        yield url


@pytest.fixture
def database_url(direct_url: str, postgres: Postgres, pooler: URL) -> str:
    """The test's database through the pooler; it limits its sessions itself."""
    name = make_url(direct_url).database
    for limit, milliseconds in SESSION_LIMITS_MS.items():
        statement = sql.SQL("alter database {} set {} = {}")
        _run(
            postgres,
            statement.format(sql.Identifier(str(name)), sql.Identifier(limit), milliseconds),
        )
    return pooler.set(database=name).render_as_string(hide_password=False)


def query(url: str, statement: str) -> object:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
        return row[0] if row else None
