"""Shares one OAuth token between all callers; renews it once before it expires; never logs or
reveals it.

Source: PayPal's "Get an access token" page (`POST /v1/oauth2/token`, Basic,
`grant_type=client_credentials`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from providers.errors import ProviderUnavailable
from providers.paypal import answers, reading
from providers.paypal.flight import Flight

_FRESH_SHARE = 0.85  # of its life: PayPal names a token fetched per call as a cause of rate limits


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    fresh_until: float
    valid_until: float


class Tokens:
    def __init__(
        self,
        client: httpx.AsyncClient,
        client_id: str,
        client_secret: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not client_id or not client_secret:
            raise ValueError("PayPal needs a client id and a client secret")
        self._client = client
        self._auth = httpx.BasicAuth(client_id, client_secret)
        self._clock = clock
        self._token: _Token | None = None
        self._flight: Flight[_Token] = Flight()

    async def current(self) -> str:
        token = self._token
        if token is not None and self._clock() < token.fresh_until:
            return token.value
        try:
            return (await self._flight.join("token", self._fetch)).value
        except ProviderUnavailable:
            if token is not None and token is self._token and self._clock() < token.valid_until:
                # still valid: an outage of the token endpoint alone does not block calls
                return token.value
            raise

    def forget(self, value: str) -> None:
        """PayPal rejected this token. A newer one that another caller fetched meanwhile stays."""
        if self._token is not None and self._token.value == value:
            self._token = None

    async def _fetch(self) -> _Token:
        queried_at = self._clock()
        try:
            response = await self._client.post(
                "/v1/oauth2/token", data={"grant_type": "client_credentials"}, auth=self._auth
            )
        except httpx.HTTPError as error:
            raise answers.no_answer(error) from error
        answer = answers.body(response)
        value = reading.token(answer, "access_token")
        if value is None:
            raise ProviderUnavailable("PayPal answered no access token", code="UNREADABLE")
        life = reading.count(answer, "expires_in")
        self._token = _Token(value, queried_at + life * _FRESH_SHARE, queried_at + life)
        return self._token
