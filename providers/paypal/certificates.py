"""Fetches and keeps PayPal's signing certificates, from PayPal's own addresses only; follows no redirect.

The URL comes in a header that anyone can send, so it is matched whole against a list before anything is fetched.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from providers.errors import InvalidSignature, VerificationUnavailable, WebhookError
from providers.paypal import chains
from providers.paypal.chains import Signer, Trust
from providers.paypal.flight import Flight

LIVE_AND_SANDBOX = (
    "https://api.paypal.com",
    "https://api-m.paypal.com",
    "https://api.sandbox.paypal.com",
    "https://api-m.sandbox.paypal.com",
)
_URL = re.compile(r"(https?://[a-z0-9.-]+(?::[0-9]{1,5})?)/v1/notifications/certs/[A-Za-z0-9_-]{1,128}", re.ASCII)
_ORIGIN = re.compile(r"https://[a-z0-9.-]+(:[0-9]{1,5})?|http://(127\.0\.0\.1|localhost):[0-9]{1,5}", re.ASCII)
_KEPT = 10
_KEPT_FOR = timedelta(days=14)
_FAILURE_KEPT_FOR = timedelta(seconds=30)
_TIME_LIMIT = 5.0
_LARGEST = 64 * 1024


class UntrustedCertificate(InvalidSignature):
    """What the allowed address served is not PayPal's certificate as far as our roots tell."""


@dataclass(frozen=True, slots=True)
class _Kept:
    found: Signer | WebhookError
    until: datetime


class Certificates:
    """`client` needs no base URL and no credentials. `origins` are whole origins; plain http only on loopback."""

    def __init__(self, client: httpx.AsyncClient, trust: Trust, origins: Collection[str] = LIVE_AND_SANDBOX) -> None:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not an https origin (nor http on loopback)")
        self._client = client
        self._trust = trust
        self._origins = frozenset(origins)
        self._good: OrderedDict[str, _Kept] = OrderedDict()
        self._bad: OrderedDict[str, _Kept] = OrderedDict()
        self._flight: Flight[Signer] = Flight()

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
            if kept is None:
                continue
            if now < kept.until and (isinstance(kept.found, WebhookError) or kept.found.holds(now)):
                cache.move_to_end(url)
                return kept.found
            del cache[url]
        return None

    def _check_address(self, url: str) -> None:
        match = _URL.fullmatch(url)
        if match is None or match.group(1) not in self._origins:
            raise InvalidSignature("the certificate URL is not PayPal's")

    async def _fetch(self, url: str, now: datetime) -> Signer:
        try:
            async with asyncio.timeout(_TIME_LIMIT):
                pem = await self._download(url)
            signer = chains.check(pem, self._trust, now)
        except (httpx.HTTPError, TimeoutError) as error:
            unavailable = VerificationUnavailable(f"PayPal's certificate cannot be had: {type(error).__name__}")
            self._keep(self._bad, url, unavailable, now + _FAILURE_KEPT_FOR)
            raise unavailable from error
        except chains.Untrusted as error:
            untrusted = UntrustedCertificate(str(error))
            self._keep(self._bad, url, untrusted, now + _FAILURE_KEPT_FOR)
            raise untrusted from error
        except WebhookError as error:
            self._keep(self._bad, url, error, now + _FAILURE_KEPT_FOR)
            raise
        self._keep(self._good, url, signer, now + _KEPT_FOR)
        return signer

    async def _download(self, url: str) -> bytes:
        async with self._client.stream("GET", url, follow_redirects=False) as response:
            if response.status_code >= 500 or response.status_code in (408, 429):
                raise VerificationUnavailable(f"PayPal's certificate address answered {response.status_code}")
            if response.status_code != 200:
                raise InvalidSignature(f"the certificate URL answered {response.status_code}")
            pem = bytearray()
            async for chunk in response.aiter_bytes():
                pem += chunk
                if len(pem) > _LARGEST:
                    raise InvalidSignature("the certificate URL gave more than 64 KiB")
            return bytes(pem)

    @staticmethod
    def _keep(cache: "OrderedDict[str, _Kept]", url: str, found: Signer | WebhookError, until: datetime) -> None:
        cache[url] = _Kept(found, until)
        cache.move_to_end(url)
        while len(cache) > _KEPT:
            cache.popitem(last=False)
