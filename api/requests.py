"""Around every request: its id, its line in the log, the limit of its body, and a last net under it.

Written against ASGI itself, since it stands on the hot path.
"""

import time
from collections.abc import Callable
from uuid import uuid4

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.campaign_fields import BODY_BYTES, FILE_BYTES
from api.errors import Kind, Problem, as_problem, response

log = structlog.get_logger()
_LONGEST_ID = 64
_LONGER = (("/campaigns", BODY_BYTES), ("/campaigns/preview", BODY_BYTES), ("/recipients", FILE_BYTES))
"""What is longer than other bodies, by the end of its path."""


class Requests:
    """`answered` is told the scope, the status and the seconds of each."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, answered: Callable[[Scope, int, float], None]) -> None:
        self._app = app
        self._limit = max_body_bytes
        self._answered = answered

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
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        limit = self._limit_of(scope)
        try:
            _refuse_declared(headers.get(b"content-length", b""), limit)
            await self._app(scope, _limited(receive, limit), sending)
        except Exception as problem:
            if status:
                raise
            await response(as_problem(problem), Request(scope))(scope, receive, sending)
        spent = time.perf_counter() - started
        self._answered(scope, status, spent)
        if scope["path"].startswith("/v1/"):
            log.info("request", method=scope["method"], path=scope["path"], status=status, ms=round(spent * 1000, 1))

    def _limit_of(self, scope: Scope) -> int:
        if scope["method"] != "POST":
            return self._limit
        return max(self._limit, next((most for end, most in _LONGER if scope["path"].endswith(end)), 0))


def _refuse_declared(content_length: bytes, limit: int) -> None:
    if content_length.isdigit() and int(content_length[:20]) > limit:
        raise _too_large(limit)


def _limited(receive: Receive, limit: int) -> Receive:
    received = 0

    async def receiving() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return receiving


def _too_large(limit: int) -> Problem:
    return Problem(Kind.BODY_TOO_LARGE, f"a body has at most {limit} bytes here", headers={"Connection": "close"})


def _request_id(told: bytes) -> str:
    text = told.decode("latin-1")
    if text and len(text) <= _LONGEST_ID and text.isascii() and text.replace("-", "").replace("_", "").isalnum():
        return text
    return uuid4().hex
