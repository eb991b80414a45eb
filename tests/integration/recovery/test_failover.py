"""A standby that is promoted without the primary's last transactions is fenced before it is used."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from db.recovery import fences, marks
from devservers import postgres
from devservers.postgres import Postgres
from runtime import migrations
from runtime.database import create_engine
from runtime.database_memory import Memory, remember

pytestmark = pytest.mark.soak


@dataclass(frozen=True, slots=True)
class Pair:
    primary: Postgres
    standby: Postgres


@pytest.fixture
def pair(server_dir: Path) -> Iterator[Pair]:
    directory = Path(tempfile.mkdtemp(dir=server_dir))
    directory.chmod(0o711)
    primary, standby = Postgres(directory / "a"), Postgres(directory / "b")
    primary.start()
    try:
        migrations.migrate(primary.url())
        _copy(primary, standby.data_dir)
        standby.start()
        yield Pair(primary, standby)
    finally:
        standby.stop()
        primary.stop()


def _copy(primary: Postgres, to: Path) -> None:
    """`pg_basebackup`, as the user that the servers run as."""
    to.mkdir(mode=0o711)
    user = None
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody").pw_uid
        os.chown(to, user, -1)
    conninfo = primary.url("postgres").replace("+psycopg", "")
    copy = to / "postgres"
    command = [str(postgres.binary("pg_basebackup")), f"--dbname={conninfo}", "--checkpoint=fast"]
    subprocess.run([*command, "--write-recovery-conf", f"--pgdata={copy}"], check=True, user=user)
    (copy / ".s.PGSQL.5432.lock").unlink(missing_ok=True)


async def mark(url: str, memory: Memory) -> None:
    """What a process does every second."""
    engine = create_engine(url, pool_size=1)
    async with engine.begin() as conn:
        found, fence = await marks.advance(conn)
    assert memory.compare(memory.known, found, fence) == ""
    await engine.dispose()


def replayed(pair: Pair) -> None:
    """Wait until the standby has what the primary has."""
    with psycopg.connect(pair.primary.url().replace("+psycopg", ""), autocommit=True) as conn:
        row = conn.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
    assert row is not None
    with psycopg.connect(pair.standby.url().replace("+psycopg", ""), autocommit=True) as conn:
        while conn.execute("SELECT pg_last_wal_replay_lsn() < %s::pg_lsn", [row[0]]).fetchone() == (
            True,
        ):
            pass


def promote(server: Postgres) -> None:
    with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as conn:
        assert conn.execute("SELECT pg_promote()").fetchone() == (True,)


@pytest.mark.parametrize("lost", [True, False])
async def test_a_promoted_standby_is_fenced_if_it_lacks_what_was_committed(
    pair: Pair, lost: bool
) -> None:
    memory = Memory()
    await mark(pair.primary.url(), memory)
    replayed(pair)
    assert memory.known is not None
    timeline = memory.known.timeline
    if lost:
        pair.standby.stop()
        with psycopg.connect(pair.primary.url().replace("+psycopg", ""), autocommit=True) as conn:
            conn.execute("UPDATE database_marks SET advanced_at = '2026-01-01'")
        await mark(pair.primary.url(), memory)
    pair.primary.kill()
    pair.standby.start()
    promote(pair.standby)

    engine = create_engine(pair.standby.url(), pool_size=1)
    remember(engine, memory)
    async with engine.connect() as conn:
        fence = await fences.current(conn)
    await engine.dispose()

    assert (fence is not None) is lost
    assert memory.known.timeline == (timeline if lost else timeline + 1)
