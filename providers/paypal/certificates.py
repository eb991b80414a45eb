"""Fetches and caches PayPal's signing certificates, from PayPal's own addresses only; follows no
redirect.

A trusted certificate stays in use while it is valid if it cannot be fetched again.

Anyone can send the header with the URL, so the whole URL is checked against a list before any
fetch.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from providers.errors import InvalidSignature, VerificationUnavailable, WebhookError
from providers.http import in_words
from providers.origins import PAYPAL_CERTIFICATES
from providers.paypal import chains, downloads
from providers.paypal.budget import Budget
from providers.paypal.chains import Signer, Trust
from providers.paypal.flight import Flight
from providers.paypal.issuers import Issuers

_HOST = r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])"
_LOOPBACK = r"(?:127(?:\.[0-9]+){3}|localhost|\[::1\])"
_PORT = r"(?::[0-9]{1,5})?"
_URL = re.compile(
    rf"(https?://{_HOST}{_PORT})/v1/notifications/certs/[A-Za-z0-9_-]{{1,128}}", re.ASCII
)
_ORIGIN = re.compile(rf"(?:https://{_HOST}|http://{_LOOPBACK}){_PORT}", re.ASCII)
_KEPT = 10
_KEPT_FOR = timedelta(days=14)
_FAILURE_KEPT_FOR = timedelta(seconds=30)
_TIME_LIMIT = 5.0
_UNKNOWN_AT_ONCE = 30
_UNKNOWN_EACH_SECOND = 1.0
"""Limits fetches: made-up certificate ids each cause a request to PayPal."""


class UntrustedCertificate(InvalidSignature):
    """The allowed address served a certificate that our roots do not prove to be PayPal's."""


class TooMany(VerificationUnavailable):
    """Not fetched because of too many requests. PayPal delivers a genuine event again."""


@dataclass(frozen=True, slots=True)
class _Kept:
    found: Signer | WebhookError
    until: datetime


class Certificates:
    """`client` needs no base URL or credentials. `origins` are whole origins; plain http only on
    loopback.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        trust: Trust,
        origins: Collection[str] = PAYPAL_CERTIFICATES,
    ) -> None:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not an https origin (nor http on loopback)")
        self._client = client
        self._trust = trust
        self._origins = frozenset(origins)
        self._good: OrderedDict[str, _Kept] = OrderedDict()
        self._bad: OrderedDict[str, _Kept] = OrderedDict()
        self._flight: Flight[Signer] = Flight()
        self._issuers = Issuers(client, trust, origins)
        self._budget = Budget(at_once=_UNKNOWN_AT_ONCE, each_second=_UNKNOWN_EACH_SECOND)

    async def signer(self, url: str, now: datetime) -> Signer:
        """Raises `InvalidSignature` for an address or a certificate that is not PayPal's."""
        kept = self._recall(url, now)
        if kept is None:
            self._check_address(url)
            return await self._flight.join(url, lambda: self._fetch(url, now))
        if isinstance(kept, Signer):
            return kept
        raise type(kept)(*kept.args)

    def _recall(self, url: str, now: datetime) -> Signer | WebhookError | None:
        for cache in (self._good, self._bad):
            kept = cache.get(url)
            if (
                kept is not None
                and now < kept.until
                and (isinstance(kept.found, WebhookError) or kept.found.holds(now))
            ):
                cache.move_to_end(url)
                return kept.found
        return None

    def _check_address(self, url: str) -> None:
        match = _URL.fullmatch(url)
        if match is None or match.group(1) not in self._origins:
            raise InvalidSignature("the certificate URL is not PayPal's")

    async def _fetch(self, url: str, now: datetime) -> Signer:
        if url not in self._good and not self._budget.take():
            raise TooMany("too many requests for unknown certificates")
        try:
            chain = await self._issuers.chain(
                chains.candidates(await self._download(url), now), now
            )
        except VerificationUnavailable as error:
            return self._stale(url, now, error)
        except chains.Untrusted as error:
            untrusted = UntrustedCertificate(str(error))
            self._keep(self._bad, url, untrusted, now + _FAILURE_KEPT_FOR)
            raise untrusted from error
        except InvalidSignature as error:
            self._keep(self._bad, url, error, now + _FAILURE_KEPT_FOR)
            raise
        self._keep(self._good, url, chain.signer, now + _KEPT_FOR)
        return chain.signer

    def _stale(self, url: str, now: datetime, error: VerificationUnavailable) -> Signer:
        """A certificate trusted before stays in use while it is valid; otherwise the error is
        cached and raised.
        """
        before = self._good.get(url)
        if before is None or not isinstance(before.found, Signer) or not before.found.holds(now):
            self._keep(self._bad, url, error, now + _FAILURE_KEPT_FOR)
            raise error
        self._keep(self._good, url, before.found, now + _FAILURE_KEPT_FOR)
        return before.found

    async def _download(self, url: str) -> bytes:
        try:
            async with asyncio.timeout(_TIME_LIMIT):
                return await downloads.body(self._client, url)
        except downloads.Refused as error:
            raise InvalidSignature(f"the certificate URL {error}") from error
        except (httpx.HTTPError, TimeoutError, downloads.Unavailable) as error:
            why = str(error) if isinstance(error, downloads.Unavailable) else in_words(error)
            raise VerificationUnavailable(f"PayPal's certificate is unavailable: {why}") from error

    @staticmethod
    def _keep(
        cache: "OrderedDict[str, _Kept]", url: str, found: Signer | WebhookError, until: datetime
    ) -> None:
        cache[url] = _Kept(found, until)
        cache.move_to_end(url)
        while len(cache) > _KEPT:
            cache.popitem(last=False)
