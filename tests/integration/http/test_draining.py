"""The API stops in steps: not ready but serving, then accepting nothing and finishing what runs."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest_asyncio

from api.app import create_app
from api.health import Readiness
from api.http import connections
from api.http.server import Server
from db.api_keys import Scope
from tests.integration.conftest import Tollgate
from tests.world import until

LONG = timedelta(hours=1)


@dataclass(slots=True)
class Stopping:
    """A further API on the same services, which the test stops."""

    url: str
    server: Server
    readiness: Readiness
    ended: asyncio.Task[None]

    @asynccontextmanager
    async def draining(self) -> AsyncIterator[None]:
        """Not ready until the block ends, then stopped."""
        self.readiness.drain()
        drained = asyncio.create_task(self.server.drain(LONG))
        await asyncio.sleep(0)
        yield
        self.server.stop()
        await drained


@pytest_asyncio.fixture
async def stopping(tollgate: Tollgate) -> AsyncIterator[Stopping]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(tollgate.services)
    server = Server(connections.config(app))
    serving = asyncio.create_task(server.serve([listener]))
    await server.ready.wait()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    yield Stopping(url, server, app.state.readiness, serving)
    server.stop()
    await serving


async def test_while_it_drains_it_is_not_ready_and_serves(
    tollgate: Tollgate, stopping: Stopping
) -> None:
    await tollgate.onboard()
    tollgate.url = stopping.url
    before = await tollgate.get("/health/ready")

    async with stopping.draining():
        ready = await tollgate.get("/health/ready")
        debit = await tollgate.debit("1.00", "while draining")

    assert before.status_code == 200
    assert (ready.status_code, ready.json()["status"]) == (503, "draining")
    assert debit.status_code == 201


async def test_while_it_drains_each_connection_ends_with_its_next_response(
    stopping: Stopping,
) -> None:
    async with httpx.AsyncClient(base_url=stopping.url) as client:
        before = await client.get("/health/live")
        async with stopping.draining():
            last = await client.get("/health/live")

    assert "connection" not in before.headers
    assert last.headers["connection"] == "close"
    assert last.status_code == 200


async def test_a_request_that_is_under_way_is_finished_and_a_further_connection_refused(
    tollgate: Tollgate, stopping: Stopping
) -> None:
    await tollgate.onboard()
    at = urlsplit(stopping.url)
    body = json.dumps({"reference_id": "last", "amount": "1.00", "currency": "USD"}).encode()
    head = (
        "POST /v1/organizations/acme/wallet/debits HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {tollgate.keys[Scope.OPERATOR]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(head.encode() + body[:10])
    while not stopping.server.server_state.tasks:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)

    async def refused() -> bool:
        try:
            _, accepted = await asyncio.open_connection(at.hostname, at.port)
        except ConnectionRefusedError:
            return True
        accepted.close()
        return False

    stopping.server.stop()
    await until(refused, "nothing accepted")
    writer.write(body[10:])
    answer = await reader.read()
    writer.close()
    await stopping.ended

    assert answer.startswith(b"HTTP/1.1 201")
    assert (await tollgate.get("/v1/organizations/acme/wallet")).json()["balance"] == "9.00"
