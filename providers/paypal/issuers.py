"""Finds the issuer of a signing certificate by the address in the leaf, as PayPal serves the leaf
alone.

Fetched certificates are not trusted: they only help to find a path to one of our roots (`chains`).
So plain http suffices, as is usual for such addresses (RFC 5280, 4.2.2.1; a `.crt` in DER, or a
`.p7c` in PKCS #7). Only authorities that PayPal is known to use, and the origins allowed for
certificates, are queried; no redirect is followed.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import datetime
from urllib.parse import urlsplit

import httpx
from cryptography import x509

from providers.errors import VerificationUnavailable
from providers.http import in_words
from providers.paypal import chains, downloads
from providers.paypal.chains import Chain, Trust, Untrusted
from providers.paypal.flight import Flight

ISSUER_ORIGINS = frozenset(
    f"{scheme}://{host}"
    for scheme in ("http", "https")
    for host in (
        "cacerts.digicert.com",
        "cacerts.geotrust.com",
        "cacerts.rapidssl.com",
        "cacerts.thawte.com",
    )
)
"""DigiCert's, which issues PayPal's certificates as far as recorded. For another authority the
intermediate has to be in the CA file.
"""
_MOST_STEPS = 3
_KEPT = 10
_TIME_LIMIT = 5.0


class Issuers:
    """Caches intermediates that led to a root while they are valid: another leaf of the same issuer
    needs no fetch.
    """

    def __init__(self, client: httpx.AsyncClient, trust: Trust, origins: Collection[str]) -> None:
        self._client = client
        self._trust = trust
        self._origins = ISSUER_ORIGINS | set(origins)
        self._kept: OrderedDict[bytes, x509.Certificate] = OrderedDict()
        self._flight: Flight[list[x509.Certificate]] = Flight()

    async def chain(self, served: Sequence[x509.Certificate], now: datetime) -> Chain:
        """The chain from the leaf to a root. Raises `Untrusted`, or `VerificationUnavailable` if an
        issuer is unavailable now.
        """
        leaf, between = served[0], [*served[1:], *self._trust.intermediates, *self._kept.values()]
        for _ in range(_MOST_STEPS):
            try:
                return self._keep(chains.verify(leaf, between, self._trust, now))
            except Untrusted as problem:
                urls = self._missing(
                    leaf,
                    [certificate for certificate in between if chains.holds(certificate, now)],
                    problem,
                )
            fetched = await self._fetch(urls)
            if all(certificate in between for certificate in fetched):
                break
            between = [*fetched, *between]
        return self._keep(chains.verify(leaf, between, self._trust, now))

    def _missing(
        self, leaf: x509.Certificate, between: list[x509.Certificate], problem: Untrusted
    ) -> list[str]:
        """The addresses of the missing issuer. Raises the problem if none is missing or none may be
        queried.
        """
        top = chains.top(leaf, between)
        if any(root.subject == top.issuer for root in self._trust.roots):
            raise problem  # no issuer is missing
        urls = chains.issuer_urls(top)
        allowed = [url for url in urls if _origin(url) in self._origins]
        if urls and not allowed:
            raise Untrusted(
                f"its issuer at {_origin(urls[0])} may not be fetched; you can put it into the "
                "CA file"
            )
        if not urls:
            raise problem
        return allowed

    async def _fetch(self, urls: Sequence[str]) -> list[x509.Certificate]:
        unavailable: VerificationUnavailable | None = None
        for url in urls:
            try:
                return await self._flight.join(url, lambda url=url: self._download(url))  # type: ignore[misc]
            except VerificationUnavailable as problem:
                unavailable = problem
        raise unavailable or VerificationUnavailable(
            "the issuer of PayPal's certificate is unavailable"
        )

    async def _download(self, url: str) -> list[x509.Certificate]:
        try:
            async with asyncio.timeout(_TIME_LIMIT):
                return chains.certificates(await downloads.body(self._client, url))
        except (
            httpx.HTTPError,
            TimeoutError,
            downloads.Refused,
            downloads.Unavailable,
            Untrusted,
        ) as error:
            expected = isinstance(error, downloads.Refused | downloads.Unavailable | Untrusted)
            problem = (
                "the issuer of PayPal's certificate is unavailable: "
                f"{error if expected else in_words(error)}"
            )
            raise VerificationUnavailable(problem) from error

    def _keep(self, chain: Chain) -> Chain:
        for certificate in chain.intermediates:
            self._kept[chains.fingerprint(certificate)] = certificate
            self._kept.move_to_end(chains.fingerprint(certificate))
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return chain


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"
