"""PostgreSQL in a network of its own, whose packets can be dropped: that needs Linux, root, `ip` and
`iptables`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

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


def _addresses() -> list[str]:
    """Ours and theirs, in a network of this process alone: two cables with the same addresses make
    both ends unreachable, if two files of tests run at once.
    """
    first = int(ip_address("10.213.0.0")) + os.getpid() % 16384 * 4
    return [str(ip_address(first + host)) for host in (1, 2)]


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
    ours, theirs = _addresses()
    name, cable = f"tollgate-{os.getpid()}", f"tg{os.getpid()}"
    inside = ("ip", "netns", "exec", name)
    _command("ip", "netns", "add", name)
    try:
        _command("ip", "link", "add", cable, "type", "veth", "peer", "name", "far", "netns", name)
        _command("ip", "address", "add", f"{ours}/30", "dev", cable)
        _command("ip", "link", "set", cable, "up")
        _command(*inside, "ip", "address", "add", f"{theirs}/30", "dev", "far")
        _command(*inside, "ip", "link", "set", "far", "up")
        parsed = make_url(database_url)
        socket_path = Path(str(parsed.query["host"])) / ".s.PGSQL.5432"
        command = [*inside, sys.executable, "-c", _RELAY, str(socket_path), theirs]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as relay:
            assert relay.stdout is not None
            assert relay.stdout.readline() == b"listening\n"
            yield Remote(
                url=f"postgresql+psycopg://{parsed.username}@{theirs}/{parsed.database}",
                namespace=name,
            )
            relay.kill()
    finally:
        # unanswered connections keep the network alive for a while, and with it the cable
        subprocess.run(["ip", "link", "delete", cable], check=False, capture_output=True)
        _command("ip", "netns", "delete", name)
