"""Faults on request: which calls fail, and how. The control plane under /_sim/ is not affected."""

import asyncio
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ErrorBody = Callable[[int], bytes]


class Kind(StrEnum):
    FORBIDDEN = "403"
    RATE_LIMITED = "429"
    INTERNAL_ERROR = "500"
    UNAVAILABLE = "503"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER_ACCEPTANCE = "timeout_after_acceptance"
    RESET_AFTER_ACCEPTANCE = "reset_after_acceptance"
    ERROR_AFTER_ACCEPTANCE = "error_after_acceptance"
    SLOW = "slow"
    DOWN = "down"
    MALFORMED_JSON = "malformed_json"


@dataclass(slots=True, kw_only=True)
class Fault:
    """`path` is a regular expression that is matched at the start, so a plain path is a prefix.

    The first `skip` matching calls pass; then it applies `times` times (forever if None), each with
    `probability`.
    """

    id: int
    kind: Kind
    method: str
    path: re.Pattern[str]
    times: int | None
    skip: int
    probability: float
    seconds: float
    retry_after: float | None
    chance: random.Random
    hits: int = 0

    def strikes(self, method: str, path: str) -> bool:
        if self.method not in ("*", method) or not self.path.match(path):
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability < 1 and self.chance.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind.value,
            "method": self.method,
            "path": self.path.pattern,
            "times": self.times,
            "probability": self.probability,
            "hits": self.hits,
        }


@dataclass(slots=True)
class Faults:
    """The active faults; of several that match, the first one applies."""

    standing: list[Fault] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def add(
        self,
        kind: str,
        *,
        method: str = "*",
        path: str = "/",
        times: int | None = None,
        skip: int = 0,
        probability: float = 1.0,
        seed: int = 0,
        seconds: float | None = None,
        retry_after: float | None = None,
    ) -> Fault:
        fault_kind = Kind(kind)
        fault = Fault(
            id=next(self._ids),
            kind=fault_kind,
            method=method.upper(),
            path=re.compile(path),
            times=times,
            skip=skip,
            probability=probability,
            seconds=seconds if seconds is not None else (1.0 if fault_kind is Kind.SLOW else 60.0),
            retry_after=retry_after
            if retry_after is not None
            else (1.0 if fault_kind is Kind.RATE_LIMITED else None),
            chance=random.Random(seed),  # noqa: S311 - chance, not a secret
        )
        self.standing.append(fault)
        return fault

    def strike(self, method: str, path: str) -> Fault | None:
        return next((fault for fault in self.standing if fault.strikes(method, path)), None)

    def clear(self) -> None:
        self.standing.clear()


class FaultyApp:
    """Wraps an application and applies the active faults; `error_body` renders the provider's
    error.
    """

    def __init__(self, app: ASGIApp, faults: Faults, error_body: ErrorBody) -> None:
        self.app = app
        self.faults = faults
        self.error_body = error_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if self.faults.standing and not scope["path"].startswith("/_sim/"):
            fault = self.faults.strike(scope["method"], scope["path"])
        if fault is None:
            await self.app(scope, receive, send)
            return
        await self._happen(fault, scope, receive, send)

    async def _happen(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.kind:
            case Kind.FORBIDDEN | Kind.RATE_LIMITED | Kind.INTERNAL_ERROR | Kind.UNAVAILABLE:
                await _drain(receive)
                await self._error(int(fault.kind.value), fault.retry_after, send)
            case Kind.SLOW:
                await asyncio.sleep(fault.seconds)
                await self.app(scope, receive, send)
            case Kind.DOWN:
                await _abort(receive, send)
            case Kind.TIMEOUT_BEFORE:
                await _hang_up(fault.seconds, receive, send)
            case Kind.TIMEOUT_AFTER_ACCEPTANCE:
                await self.app(scope, receive, _swallow)
                await _hang_up(fault.seconds, receive, send)
            case Kind.RESET_AFTER_ACCEPTANCE:
                await self.app(scope, receive, _swallow)
                await _abort(receive, send)
            case Kind.ERROR_AFTER_ACCEPTANCE:
                await self.app(scope, receive, _swallow)
                await self._error(500, None, send)
            case Kind.MALFORMED_JSON:
                await self.app(scope, receive, _swallow)
                await respond(send, 200, b'{"id": "I-', ())

    async def _error(self, status: int, retry_after: float | None, send: Send) -> None:
        extra = () if retry_after is None else ((b"retry-after", f"{retry_after:g}".encode()),)
        await respond(send, status, self.error_body(status), extra)


async def respond(
    send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Answer with a JSON body."""
    fixed = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


async def _drain(receive: Receive) -> None:
    await read_body(receive)


async def _swallow(_: Message) -> None:
    return


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _abort(receive: Receive, send: Send) -> None:
    """Reset the connection, through uvicorn's transport: ASGI has no way to do this."""
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise RuntimeError("connection faults need uvicorn's own send")
    transport.abort()
    await _disconnected(receive)


async def _hang_up(seconds: float, receive: Receive, send: Send) -> None:
    """Do not respond until the caller gives up, at most for `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await _disconnected(receive)
    except TimeoutError:
        await _abort(receive, send)
