"""Wraps every request: its id, its line in the log, the limit of its body, and a last error
handler.

Written for plain ASGI, since it is on the hot path.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import urandom

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.auth import authenticate, is_behind_a_key
from api.http.error_handlers import as_problem
from api.http.errors import Kind, Problem, not_found, response
from domain.plain_text import is_plain
from runtime import logging

_LONGEST_ID = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """The largest body in bytes: `common`, unless its route differs.

    `longer` has larger limits by the end of the path; `shorter` has smaller ones by the whole path.
    """

    common: int
    longer: Mapping[str, int]
    shorter: Mapping[str, int]

    def of(self, method: str, path: str) -> int:
        if path in self.shorter:
            return min(self.common, self.shorter[path])
        if method != "POST":
            return self.common
        return max(
            self.common, next((most for end, most in self.longer.items() if path.endswith(end)), 0)
        )


class Requests:
    """`answered` receives the scope, the status and the seconds of each."""

    def __init__(
        self, app: ASGIApp, *, limits: BodyLimits, answered: Callable[[Scope, int, float], None]
    ) -> None:
        self._app = app
        self._limits = limits
        self._answered = answered
        self._log = logging.direct(__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    *body.unread(),
                ]
            await send(message)

        body = _Body(receive, self._limits.of(scope["method"], scope["path"]), headers)
        try:
            body.refuse_declared()
            await _admit(scope, headers)
            await self._app(scope, body.receive, sending)
        except Exception as problem:
            if status:
                raise
            await response(as_problem(problem), Request(scope))(scope, receive, sending)
        spent = time.perf_counter() - started
        self._answered(scope, status, spent)
        if scope["path"].startswith("/v1/"):
            self._log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(spent * 1000, 1),
            )


async def _admit(scope: Scope, headers: Mapping[bytes, bytes]) -> None:
    """The decisions before any byte of the body is read."""
    if not is_plain(scope["path"]):
        raise not_found("path")  # the framework ignores a line end after a path
    if scope["method"] != "OPTIONS" and is_behind_a_key(scope["path"]):
        here = scope["app"].state.context
        scope["state"]["caller"] = await authenticate(here, headers.get(b"authorization", b""))


class _Body:
    """A request's body, up to its limit; data after the response is not read."""

    def __init__(self, receive: Receive, limit: int, headers: Mapping[bytes, bytes]) -> None:
        self._receive = receive
        self._limit = limit
        self._declared = headers.get(b"content-length", b"0")
        self._more = self._declared.strip(b"0") != b"" or b"transfer-encoding" in headers
        self._received = 0

    def refuse_declared(self) -> None:
        if self._declared.isdigit() and int(self._declared[:20]) > self._limit:
            raise _too_large(self._limit)

    async def receive(self) -> Message:
        message = await self._receive()
        self._more = message.get("more_body", False)
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise _too_large(self._limit)
        return message

    def unread(self) -> list[tuple[bytes, bytes]]:
        """The header that closes a connection on which a body is still arriving."""
        return [(b"connection", b"close")] if self._more else []


def _too_large(limit: int) -> Problem:
    return Problem(Kind.BODY_TOO_LARGE, f"the body may have at most {limit} bytes")


def _request_id(header: bytes) -> str:
    text = header.decode("latin-1")
    if (
        text
        and len(text) <= _LONGEST_ID
        and text.isascii()
        and text.replace("-", "").replace("_", "").isalnum()
    ):
        return text
    return urandom(16).hex()
