"""Posts to a URL that somebody else chose; connects only to what it resolved and may call.

No redirect is followed, no cookie and no proxy is used, nothing is decompressed, and of the answer
only the beginning is read.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from providers.http import retry_after
from providers.outbound import urls
from providers.outbound.addresses import Network, may_be_called, read
from providers.outbound.urls import Url

NOT_ALLOWED = "its address is not one that may be called"
UNRESOLVED = "its name could not be resolved"
NOT_CONNECTED = "no connection could be made"
NO_TLS = "TLS failed: its certificate is not trusted, or not for this name"
TOO_SLOW = "it did not answer in time"
BROKE_OFF = "the connection broke off"
CUT = "its answer was longer; the rest was not read"
DRIPPED = "its answer did not end in time; the rest was not read"

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises OSError."""
_RESOLVERS = 64
"""A name server that does not answer holds a thread for some seconds."""
_IDLE_SECONDS = 1.5
"""Shorter than what servers keep connections open, so that few requests meet a closing one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds; `total` is from the beginning to the head of the answer, `rest` for its body."""

    connect: float = 5.0
    total: float = 15.0
    rest: float = 2.0
    bytes: int = 1024
    connections: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `status` is None without an answer; `reason` then says why, and otherwise
    why `beginning` is not all of it. `retry_after` is in seconds.
    """

    status: int | None
    seconds: float
    beginning: bytes = b""
    reason: str = ""
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Outbound:
    """Use `outbound()` to make one."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        limits: Limits,
        listed: Sequence[Network],
        *,
        http: bool,
    ) -> None:
        self._session = session
        self._limits = limits
        self._listed = listed
        self._http = http

    def check(self, url: str) -> Url:
        """What can be said about a URL without calling anything. Raises urls.Refused."""
        parsed = urls.parse(url, http=self._http)
        if parsed.address is not None and not may_be_called(parsed.address, self._listed):
            raise urls.Refused(NOT_ALLOWED)
        return parsed

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Never raises for what is wrong with the URL or its server: the answer says it."""
        began = time.monotonic()
        try:
            target = self.check(url)
        except urls.Refused as refusal:
            return Answer(status=None, seconds=0.0, reason=str(refusal))
        try:
            return await self._answer(target, body, headers, began)
        except _Refusal as refusal:
            reason = str(refusal)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as failure:
            reason = _in_words(failure)
        return Answer(status=None, seconds=time.monotonic() - began, reason=reason)

    async def _answer(
        self, target: Url, body: bytes, headers: Mapping[str, str], began: float
    ) -> Answer:
        async with (
            asyncio.timeout(self._limits.total) as limit,
            self._session.post(
                _address(target), data=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            limit.reschedule(None)  # the head is here: the body has its own limit
            beginning, reason = await self._beginning(response)
            waits = response.headers.get("retry-after", "")
            return Answer(
                status=response.status,
                seconds=time.monotonic() - began,
                beginning=beginning,
                reason=reason,
                retry_after=retry_after(httpx.Headers({"retry-after": waits})),
            )

    async def _beginning(self, response: aiohttp.ClientResponse) -> tuple[bytes, str]:
        """The first bytes of the body as they were sent; the rest closes the connection."""
        beginning, most = b"", self._limits.bytes
        try:
            async with asyncio.timeout(self._limits.rest):
                while len(beginning) <= most:
                    further = await response.content.read(most + 1 - len(beginning))
                    if not further:
                        return beginning, ""
                    beginning += further
        except TimeoutError:
            response.close()
            return beginning[:most], DRIPPED
        except (aiohttp.ClientError, OSError):
            return beginning[:most], BROKE_OFF
        response.close()
        return beginning[:most], CUT


class _Refusal(OSError):
    """An OSError, which aiohttp passes on to us in one of its own."""


class _Resolver(AbstractResolver):
    """Gives aiohttp the addresses to connect to, after checking all of them: a name that also has a
    forbidden one is refused, since the next try may get that one.
    """

    def __init__(self, lookup: Lookup, listed: Sequence[Network]) -> None:
        self._lookup = lookup
        self._listed = listed

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - both families are fine
    ) -> list[ResolveResult]:
        try:
            found = await self._lookup(host, port)
        except (OSError, UnicodeError) as failure:
            raise _Refusal(UNRESOLVED) from failure
        addresses = [read(address) for address in found]
        if not addresses:
            raise _Refusal(UNRESOLVED)
        if not all(each is not None and may_be_called(each, self._listed) for each in addresses):
            raise _Refusal(NOT_ALLOWED)
        return [
            ResolveResult(
                hostname=host,
                host=str(each),
                port=port,
                family=socket.AF_INET6
                if each is not None and each.version == 6
                else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for each in addresses
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def outbound(
    *,
    listed: Sequence[Network] = (),
    http: bool = False,
    limits: Limits | None = None,
    lookup: Lookup | None = None,
    trusted: ssl.SSLContext | None = None,
) -> AsyncIterator[Outbound]:
    """`listed` are further networks that may be called, `http` allows it without TLS. `lookup`
    replaces the system's resolver.
    """
    limits = limits or Limits()
    with ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolver") as threads:
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(lookup or _system_lookup(threads), listed),
            use_dns_cache=False,
            limit=limits.connections,
            keepalive_timeout=_IDLE_SECONDS,
            ssl=trusted or httpx.create_ssl_context(),
        )
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": "Tollgate", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=limits.connect),
        ) as session:
            yield Outbound(session, limits, listed, http=http)


def _system_lookup(threads: ThreadPoolExecutor) -> Lookup:
    async def lookup(host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(address[0]) for *_, address in found]

    return lookup


def _address(target: Url) -> URL:
    path, _, query = target.target.partition("?")
    return URL.build(
        scheme=target.scheme,
        host=target.host,
        port=target.port,
        path=path,
        query_string=query,
        encoded=True,
    )


def _in_words(failure: Exception) -> str:
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, _Refusal):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    match failure:
        case aiohttp.ClientSSLError() | ssl.SSLError() | ssl.CertificateError():
            return NO_TLS
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return NOT_CONNECTED
        case TimeoutError():
            return TOO_SLOW
        case _:
            return BROKE_OFF
