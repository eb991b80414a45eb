"""A balancer in front of several processes of the API: forwards each connection to one that is
ready, in turn.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import httpx

from tests.world import until

HOST = "127.0.0.1"
LOOK_EVERY = 0.5


@dataclass(slots=True)
class Balancer:
    """`ready` is the ports whose last check of readiness was answered with 200."""

    url: str = ""
    ready: list[int] = field(default_factory=list)
    _backends: list[int] = field(default_factory=list)
    _forwarding: set[asyncio.Task[None]] = field(default_factory=set)
    _turn: int = 0

    @classmethod
    @asynccontextmanager
    async def serve(cls) -> AsyncIterator[Self]:
        balancer = cls()
        server = await asyncio.start_server(balancer._accept, HOST, 0)
        balancer.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        looking = asyncio.create_task(balancer._look_for_ever())
        try:
            yield balancer
        finally:
            looking.cancel()
            server.close()
            for task in balancer._forwarding:
                task.cancel()
            await asyncio.gather(looking, *balancer._forwarding, return_exceptions=True)

    async def add(self, port: int) -> None:
        """Returns once it is ready."""
        self._backends.append(port)

        async def is_ready() -> bool:
            return port in self.ready

        await until(is_ready, f"the API on port {port} ready")

    def remove(self, port: int) -> None:
        """Of a process that has ended."""
        self._backends.remove(port)

    async def _look_for_ever(self) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            while True:
                ready = [
                    port for port in list(self._backends) if await self._is_ready(client, port)
                ]
                self.ready = [port for port in ready if port in self._backends]
                await asyncio.sleep(LOOK_EVERY)

    async def _is_ready(self, client: httpx.AsyncClient, port: int) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await client.get(f"http://{HOST}:{port}/health/ready")).status_code == 200
        return False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._forwarding.add(task)
        async with AsyncExitStack() as stack:
            stack.callback(self._forwarding.discard, task)
            stack.callback(writer.close)
            stack.enter_context(contextlib.suppress(ConnectionError))
            self._turn += 1
            port = self.ready[self._turn % len(self.ready)]
            from_api, to_api = await asyncio.open_connection(HOST, port)
            stack.callback(to_api.close)
            asking = asyncio.create_task(_copy(reader, to_api))
            stack.callback(asking.cancel)
            await _copy(from_api, writer)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
