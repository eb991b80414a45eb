"""Serves a simulator within the running event loop, on 127.0.0.1 unless told otherwise."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Protocol, TypeVar

import uvicorn
from starlette.types import ASGIApp


class Simulator(Protocol):
    """`url` is set before `start`; `start` and `stop` begin and end the background work."""

    url: str

    @property
    def app(self) -> ASGIApp: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


S = TypeVar("S", bound=Simulator)


class Server(uvicorn.Server):
    """Leaves signals to the owner of the event loop, and ends at once when it is stopped, not at
    its next tick.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._stopped.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # the tick sets the time in the headers, once a second
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), 1)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, but first let accepted sockets become connections: asyncio
        leaves a socket open if its server closes in between.
        """
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            loop.remove_reader(listener)
        for _ in range(3):  # accepting, attaching and connecting take one turn of the loop each
            await asyncio.sleep(0)
        await super().shutdown(sockets)


@asynccontextmanager
async def serve(
    simulator: S, *, host: str = "127.0.0.1", port: int = 0, url: str | None = None
) -> AsyncIterator[S]:
    """Yield the simulator once it answers; a free port is taken if `port` is 0.

    `simulator.url` is where others reach it: pass `url` if that is not the address that it binds.
    """
    listener = _listen(host, port)
    simulator.url = url or f"http://{host}:{listener.getsockname()[1]}"
    server = Server(_config(simulator.app))
    await simulator.start()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        yield simulator
    finally:
        server.stop()
        await asyncio.gather(simulator.stop(), serving)
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    """Names the protocol: asyncio sets TCP_NODELAY only then, and responses wait 40 ms without it."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
        backlog=4096,
    )
