"""Posts webhooks: HTTP/1.1 over kept-alive connections, with minimal cost. Does not follow
redirects.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser


@dataclass(frozen=True, slots=True)
class Posted:
    """The result of a post. `status` is 0 without a response; `connected` is False if nothing can
    have been received.
    """

    status: int
    seconds: float
    error: str = ""
    connected: bool = True

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    secure: bool
    head: str


@lru_cache(maxsize=65_536)
def _target(url: str) -> _Target:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not a URL to post to: {url!r}")
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    port = parts.port or (443 if secure else 80)
    return _Target(parts.hostname, port, secure, f"POST {path} HTTP/1.1\r\nhost: {host}\r\n")


class _Connection(asyncio.Protocol):
    """One request at a time; the future of the request under way is set by the parser's
    callbacks.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[int] | None = None
        self.parser = HttpResponseParser(self)
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except HttpParserError as error:
            self._fail(ConnectionError(f"not HTTP: {error}"))
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        self._fail(ConnectionResetError("closed without a response"))

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        keep = self.parser.should_keep_alive()
        if not keep:
            self.close()
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(status)

    def close(self) -> None:
        self.closed = True
        if self.transport is not None:
            self.transport.close()

    def _fail(self, error: Exception) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    async def ask(self, request: bytes, patience: float) -> int:
        assert self.transport is not None
        loop = asyncio.get_running_loop()
        self.answer = loop.create_future()
        timer = loop.call_later(patience, self._fail, TimeoutError("no response in time"))
        try:
            self.transport.write(request)
            return await self.answer
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
            self.answer = None


class Poster:
    """At most `limit` posts at a time, each with `timeout` seconds."""

    def __init__(self, *, limit: int = 64, timeout: float = 15.0) -> None:
        self.timeout = timeout
        self._slots = asyncio.Semaphore(limit)
        self._idle: dict[tuple[str, int, bool], list[_Connection]] = {}

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, patience: float | None = None
    ) -> Posted:
        """`patience` in seconds replaces that of all posts."""
        target = _target(url)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = (
            f"{target.head}{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body
        )
        async with self._slots:
            started = time.monotonic()
            try:
                status = await self._exchange(target, request, patience or self.timeout)
            except _NotConnected as error:
                return Posted(0, time.monotonic() - started, str(error), connected=False)
            except (OSError, TimeoutError) as error:
                return Posted(0, time.monotonic() - started, str(error) or type(error).__name__)
            return Posted(status, time.monotonic() - started)

    async def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _exchange(self, target: _Target, request: bytes, patience: float) -> int:
        idle = self._idle.setdefault((target.host, target.port, target.secure), [])
        while idle:
            connection = idle.pop()
            if connection.closed:
                continue
            try:
                return await self._ask(connection, idle, request, patience)
            except ConnectionResetError:
                break  # the server closed the kept-alive connection: retry on a new one
        return await self._ask(await self._connect(target, patience), idle, request, patience)

    async def _ask(
        self, connection: _Connection, idle: list[_Connection], request: bytes, patience: float
    ) -> int:
        status = await connection.ask(request, patience)
        if not connection.closed:
            idle.append(connection)
        return status

    async def _connect(self, target: _Target, patience: float) -> _Connection:
        context = ssl.create_default_context() if target.secure else None
        try:
            async with asyncio.timeout(min(patience, 5.0)):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection, target.host, target.port, ssl=context
                )
        except (OSError, TimeoutError) as error:
            raise _NotConnected(str(error) or type(error).__name__) from error
        return connection


class _NotConnected(Exception):
    pass
