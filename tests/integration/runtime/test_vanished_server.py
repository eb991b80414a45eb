"""A server that vanishes without closing its connections: its packets are dropped, nothing more is
received.

It stands behind a network of its own, whose firewall is then shut: that needs Linux, root, `ip` and
`iptables`.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime import database
from tests.world import until

LIMIT = 60.0
"""Seconds after which a call that still hangs fails the test; without limits it hangs for hours."""
NETWORK, OURS, THEIRS = "10.213.77", "10.213.77.1", "10.213.77.2"
_RELAY = """
import asyncio, sys

async def relay(reader, writer):
    inner_reader, inner_writer = await asyncio.open_unix_connection(sys.argv[1])
    async def pump(source, sink):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()
    await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

async def main():
    server = await asyncio.start_server(relay, sys.argv[2], 5432)
    print("listening", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def _may_build_networks() -> bool:
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("iptables"):
        return False
    name = f"tollgate-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    if made.returncode == 0:
        _command("ip", "netns", "delete", name)
    return made.returncode == 0


def _command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@dataclass
class Remote:
    """PostgreSQL at the other end of a cable that can be cut."""

    url: str
    namespace: str

    def vanish(self) -> None:
        _command("ip", "netns", "exec", self.namespace, "iptables", "-I", "INPUT", "-j", "DROP")
        _command("ip", "netns", "exec", self.namespace, "iptables", "-I", "OUTPUT", "-j", "DROP")


@pytest.fixture
def remote(database_url: str) -> Iterator[Remote]:
    if not _may_build_networks():
        pytest.skip("needs Linux, root, ip and iptables, to drop packets in a network of its own")
    name, cable = f"tollgate-{os.getpid()}", f"tg{os.getpid()}"
    inside = ("ip", "netns", "exec", name)
    _command("ip", "netns", "add", name)
    try:
        _command("ip", "link", "add", cable, "type", "veth", "peer", "name", "far", "netns", name)
        _command("ip", "address", "add", f"{OURS}/24", "dev", cable)
        _command("ip", "link", "set", cable, "up")
        _command(*inside, "ip", "address", "add", f"{THEIRS}/24", "dev", "far")
        _command(*inside, "ip", "link", "set", "far", "up")
        parsed = make_url(database_url)
        socket_path = Path(str(parsed.query["host"])) / ".s.PGSQL.5432"
        command = [*inside, sys.executable, "-c", _RELAY, str(socket_path), THEIRS]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as relay:
            assert relay.stdout is not None
            assert relay.stdout.readline() == b"listening\n"
            yield Remote(
                url=f"postgresql+psycopg://{parsed.username}@{THEIRS}/{parsed.database}",
                namespace=name,
            )
            relay.kill()
    finally:
        # unanswered connections keep the network alive for a while, and with it the cable
        subprocess.run(["ip", "link", "delete", cable], check=False, capture_output=True)
        _command("ip", "netns", "delete", name)


async def _ask(engine: AsyncEngine, statement: str) -> None:
    async with engine.connect() as conn:
        await conn.execute(text(statement))


async def test_calls_fail_soon_after_the_server_vanished(
    remote: Remote, engine: AsyncEngine
) -> None:
    far = database.create_engine(remote.url, pool_size=2)
    idle = await far.connect()
    await idle.execute(text("SELECT 1"))
    waiting = asyncio.create_task(_ask(far, "SELECT pg_sleep(9)"))
    sleeping = text("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")

    async def asleep() -> bool:
        async with engine.connect() as conn:
            return bool((await conn.execute(sleeping)).scalar())

    await until(asleep, "a statement waits for its answer")
    remote.vanish()

    async with asyncio.timeout(LIMIT):
        with pytest.raises(OperationalError) as sending:
            await idle.execute(text("SELECT 2"))
        with pytest.raises(OperationalError) as awaiting:
            await waiting
    await far.dispose(close=False)
    assert sending.value.connection_invalidated
    assert awaiting.value.connection_invalidated
