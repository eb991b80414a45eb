"""A server that receives webhooks like an application, and responds as configured."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from simulators.faults import read_body, respond


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """`answers` are the status codes of the next posts; 200 once they are used up."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def app(self) -> ASGIApp:
        return self._take

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        return

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        body = await read_body(receive)
        self.received.append(Received(scope["path"], scope["query_string"].decode(), headers, body))
        await respond(send, self.answers.pop(0) if self.answers else 200, b"{}")


async def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until the condition holds; fail after a generous time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)
