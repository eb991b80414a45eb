"""Makes HTTP clients with explicit time limits that distinguish "never connected" from "no answer";
never repeats a POST.

A retry is safe after the first and may charge twice after the second. aiohttp itself retries a GET
or DELETE whose connection closed. `httpx-aiohttp` 0.2 reports a connection that the server closed
mid-request as `ConnectTimeout`, and some broken responses as exceptions outside httpx; `Transport`
corrects both by the cause.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from providers.breaker import Breaker, Paused

_NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_DEFAULT_CONNECT = 5.0
_DEFAULT_READ = 15.0
_LONGEST_WAIT = 3600.0  # a server's error must not postpone a suspension for days
_FORM = "application/x-www-form-urlencoded"
_IDLE_SECONDS = 5.0  # shorter than any server's, so that no request meets a closing connection


def fast_client(
    base_url: str = "",
    *,
    connect: float = _DEFAULT_CONNECT,
    read: float = _DEFAULT_READ,
    connections: int = 100,
    breaker: Breaker | None = None,
) -> "FastClient":
    """A client for hot paths, on aiohttp's connections. `connect` includes the wait for a free
    connection. With a breaker, calls fail at once while the server does not answer.
    """
    limits = httpx.Limits(max_connections=connections, keepalive_expiry=_IDLE_SECONDS)
    return FastClient(
        Transport(limits, breaker), base_url, httpx.Timeout(read, connect=connect, pool=connect)
    )


def never_connected(failure: httpx.TransportError) -> bool:
    """Whether the request certainly did not reach the server (refused, unresolved, TLS failed, no
    connection free).
    """
    return isinstance(failure, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))


def in_words(failure: Exception) -> str:
    """Why a request has no response, for people."""
    match failure:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return "its address cannot be read"
        case Paused():
            return "it did not answer the calls before"
        case httpx.PoolTimeout():
            return "no connection was free"
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return "no connection could be made"
        case httpx.TimeoutException() | TimeoutError():
            return "it took too long"
        case _:
            return "the connection broke off"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the server accepts a retry (RFC 9110, 10.2.3: a number or a date)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
        return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)
    except (ValueError, TypeError):  # no date, or a date without a zone
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to `FastClient.post_form`; its headers' names match in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class FastClient(httpx.AsyncClient):
    """httpx, and a shorter way past it for what is posted a thousand times a second."""

    def __init__(self, transport: "Transport", base_url: str, timeout: httpx.Timeout) -> None:
        super().__init__(
            base_url=base_url, timeout=timeout, transport=transport, follow_redirects=False
        )
        self._aiohttp = transport
        self._within = aiohttp.ClientTimeout(
            sock_connect=timeout.connect, sock_read=timeout.read, connect=timeout.pool
        )

    async def post_form(self, url: str, form: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once, on the same connections, with the same limits and errors as httpx would, which
        takes four times as long.
        """
        return await self._aiohttp.post(url, form, {"content-type": _FORM, **headers}, self._within)


class Transport(AiohttpTransport):
    """aiohttp under httpx, whose connect errors mean that nothing was sent."""

    def __init__(self, limits: httpx.Limits, breaker: Breaker | None = None) -> None:
        super().__init__(verify=_trusted(), limits=limits)
        self._breaker = breaker

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with self._call():
            response = await super().handle_async_request(request)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Stream(response.stream)
        return response

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], limits: aiohttp.ClientTimeout
    ) -> Answer:
        """Without httpx's request and response."""
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        with self._call():
            async with self.client.post(
                url, data=body, headers=headers, timeout=limits, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await response.read())

    @contextmanager
    def _call(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self._breaker is not None:
                stack.enter_context(self._breaker.call())
            stack.enter_context(_true_failures())
            yield


class _Stream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _true_failures():
            async for chunk in self._inner:
                yield chunk

    async def aclose(self) -> None:
        with _true_failures():
            await self._inner.aclose()


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities' certificates, read once: that takes as long as twenty requests."""
    return httpx.create_ssl_context()


@contextmanager
def _true_failures() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as failure:
        raise _corrected(str(failure), failure.__cause__) from failure.__cause__
    except aiohttp.ClientError as failure:
        raise _corrected(str(failure), failure) from failure


def _corrected(message: str, cause: BaseException | None) -> httpx.TransportError:
    if isinstance(cause, aiohttp.InvalidURL):
        return httpx.UnsupportedProtocol(message)
    if isinstance(cause, _NEVER_CONNECTED):
        return httpx.ConnectError(message)
    if isinstance(cause, aiohttp.ServerTimeoutError):
        return httpx.ReadTimeout(message)
    if isinstance(cause, aiohttp.ClientConnectionError):
        return httpx.ReadError(message)
    return httpx.RemoteProtocolError(message)
