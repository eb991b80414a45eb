"""The server of every HTTP process: drains before it stops, and loses no accepted request."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import uvicorn

from api.http.connections import State

FINISHING = timedelta(seconds=20)
"""How long requests that are under way may take once nothing is accepted any more."""


class Server(uvicorn.Server):
    """Leaves signals to the owner of the event loop: uvicorn raises them again when it is done,
    which would end the process. Ends at once when it is stopped, not at its next tick.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        config.timeout_graceful_shutdown = int(FINISHING.total_seconds())
        super().__init__(config)
        self.server_state = self._state = State()
        self.ready = asyncio.Event()
        self._stopped = asyncio.Event()

    async def drain(self, period: timedelta) -> None:
        """Serve on for this long, but close each connection behind its next response.

        So a proxy in front can find out, and has no open connection left on which it could send a
        request just when it is closed.
        """
        self._state.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(period.total_seconds()):
                await self._stopped.wait()

    def stop(self) -> None:
        self.should_exit = True
        self._stopped.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # the tick sets the time in the headers, once a second
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopped.wait()

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
