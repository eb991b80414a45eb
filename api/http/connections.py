"""The limits of a connection before authentication: the size of the headers, the time for headers
and body, and the number of connections. Uvicorn has no such limits with its faster parser.
"""

import asyncio
import http
import json
from typing import Any, NoReturn, cast
from uuid import uuid4

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api.http.errors import MEDIA_TYPE, RETRY_AFTER, Kind, Problem
from api.http.joined_writes import JoinedWrites

HEAD_BYTES = 32 * 1024
"""For the request line and the headers together; genuine ones are much smaller."""
HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a further request, to the end of the headers."""
BODY_SECONDS = 10.0
BODY_BYTES = 8 * 1024
"""The slowest body: at least this many bytes in this many seconds, or its end."""
IDLE_SECONDS = 5.0
"""How long a connection may be idle between requests."""
UNREAD_SECONDS = 60.0
"""How long a response may wait to be read."""
CONNECTIONS = 800
"""Per process; more would not fit into the usual limit of 1,024 open files. A further connection
replaces the one that has been idle longest, so idle clients cannot block webhooks.
"""
_AHEAD = 16
"""Pipelined requests that wait on a connection. No known client sends any."""


def config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """The server configuration for all uses; `options` has the address."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(IDLE_SECONDS),
        **options,
    )


class State(ServerState):
    """What all connections of a server share. While it is draining, each of them ends with its
    next response.
    """

    draining = False


class Connection(HttpToolsProtocol):
    """One connection. It is closed if a request is too large or too slow, with a problem document
    if no response is in progress.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._unread = (
            0  # bytes since the parser's last event: an unfinished header, or a chunk's extension
        )
        self._body_bytes = 0
        self._refused = Kind.MALFORMED_REQUEST
        self._unsent: asyncio.TimerHandle | None = None
        self.last_data_at = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", JoinedWrites(transport, self.loop)))
        if len(self.connections) > CONNECTIONS and not self._displace():
            self._cut(Kind.OVERLOADED)
        else:
            self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self.last_data_at = self.loop.time()
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unread > HEAD_BYTES:
            self._cut(Kind.HEAD_TOO_LARGE)
        elif self._deadline is None and self._in_head and not self._answering():
            # line ends before a request: the parser skips them, and no request waits
            self._wait(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if len(self.pipeline) >= _AHEAD:
            self._refuse(Kind.OVERLOADED)
        self._in_head, self._head_bytes, self._unread = True, 0, 0
        self._wait(HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        if self._in_head:  # a trailer does not count as a header: it came after all decisions
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._unread, self._body_bytes = False, 0, 0
        self._wait(BODY_SECONDS)
        super().on_headers_complete()
        if isinstance(self.server_state, State) and self.server_state.draining:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        self._unread = 0

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes, self._unread = True, 0, 0
        self._stop_waiting()
        # it was answered before its body arrived: no other code waits for the next request
        if self.cycle.response_complete:
            self._wait(IDLE_SECONDS)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are no problem document
        self._cut(self._refused)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None

    def _count(self, *parts: bytes) -> None:
        self._unread = 0
        self._head_bytes += sum(map(len, parts))
        if self._head_bytes > HEAD_BYTES:
            self._refuse(Kind.HEAD_TOO_LARGE)

    def _wait(self, seconds: float) -> None:
        """The timer stays when its deadline moves or goes, since that happens with each request."""
        self._deadline = self.loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer(seconds)

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._on_timer)

    def _stop_waiting(self) -> None:
        self._deadline = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        left = self._deadline - self.loop.time()
        if left > 0:
            self._set_timer(left)
        else:
            self._late()

    def _late(self) -> None:
        """Nothing arrived for too long; a body that arrived fast enough, or that is not read now,
        may continue.
        """
        if self.flow.read_paused or (not self._in_head and self._body_bytes >= BODY_BYTES):
            self._body_bytes = 0
            self._wait(BODY_SECONDS)
        else:
            self._cut(Kind.REQUEST_TIMEOUT)

    def _refuse(self, kind: Kind) -> NoReturn:
        """Raised out of the parser, which ends in `send_400_response`."""
        self._refused = kind
        raise ValueError(kind.title)

    def _displace(self) -> bool:
        """Close the connection that has been idle longest; False if none is idle."""
        silent = [
            connection
            for connection in self.connections
            if isinstance(connection, Connection)
            and connection is not self
            and connection.is_idle()
        ]
        if silent:
            min(silent, key=lambda connection: connection.last_data_at).transport.close()
        return bool(silent)

    def is_idle(self) -> bool:
        """Whether it is open without a request or response in progress."""
        busy = self._head_bytes or self._unread or not self._in_head or self._answering()
        return not (busy or self.transport.is_closing())

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _request_id(self) -> str:
        """The id of the current request; a new one if none has begun."""
        state = self.cycle.scope.get("state", {}) if self._answering() else {}
        return str(state.get("request_id") or uuid4().hex)

    def _cut(self, kind: Kind) -> None:
        """Close the connection, with the problem if a request waits for a response that has not
        begun.
        """
        self._stop_waiting()
        if self._answering():
            silent = self.cycle.response_started or bool(self.pipeline)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        else:
            # no request was sent
            silent = kind is Kind.REQUEST_TIMEOUT and not (self._head_bytes or self._unread)
        if not silent:
            self.transport.write(_answer(kind, self._request_id()))
        self.transport.close()


def _answer(kind: Kind, request_id: str) -> bytes:
    body = json.dumps(Problem(kind).document | {"request_id": request_id}).encode()
    lines = [
        f"HTTP/1.1 {kind.status} {http.HTTPStatus(kind.status).phrase}",
        f"content-type: {MEDIA_TYPE}",
        f"content-length: {len(body)}",
        f"x-request-id: {request_id}",
        "connection: close",
        *([f"retry-after: {RETRY_AFTER}"] if kind.status == 503 else []),
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body
