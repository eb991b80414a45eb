"""Runs the Twilio SDK's requests over an httpx client with its own time limits; never retries.

The SDK's own asynchronous client passes `timeout=None` on every call, which for aiohttp means no
limit, and its retry option repeats a POST after a 5xx, which may send twice (twilio 9.13.0,
`twilio/http/async_http_client.py`).
"""

import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
from twilio.base.exceptions import TwilioException  # type: ignore[import-untyped]
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]

from providers.errors import NotFound, ProviderError, ProviderRefused, ProviderUnavailable
from providers.http import FastClient, in_words, never_connected, retry_after

API_ORIGIN = "https://api.twilio.com"
ORIGINS = (
    API_ORIGIN,
    "https://accounts.twilio.com",
    "https://messaging.twilio.com",
    "https://pricing.twilio.com",
)
_NO_CONTENT = 204
NO_ANSWER = "NO_ANSWER"
"""The code when Twilio did not answer."""


class NotTaken(ProviderUnavailable):
    """Never connected, or 429: "never processed, always safe to retry" (Twilio's page on error
    20429).
    """


class Wire(AsyncHttpClient):  # type: ignore[misc]
    """`base_url`, if it is not Twilio's, stands for all of Twilio's hosts."""

    def __init__(self, client: FastClient, base_url: str = API_ORIGIN) -> None:
        super().__init__(logging.getLogger(__name__), is_async=True)
        self._client = client
        self._base_url = base_url.rstrip("/")

    async def request(  # noqa: PLR0917 - the SDK's signature
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - the client's own limits hold
        allow_redirects: bool = False,  # noqa: ARG002, FBT001, FBT002 - never followed
    ) -> Response:
        origin = next((each for each in ORIGINS if url.startswith(f"{each}/")), None)
        if origin is None:
            raise ValueError("these credentials are sent to Twilio only")
        at = url if self._base_url == API_ORIGIN else self._base_url + url.removeprefix(origin)
        try:
            response = await self._client.request(
                method,
                at,
                params=params,
                data=data,
                headers=headers,
                auth=auth,
                follow_redirects=False,
            )
        except httpx.TransportError as error:
            raise _no_answer(error) from error
        if not response.is_success:
            raise _failure(response.status_code, response.headers, response.content)
        if response.status_code != _NO_CONTENT:
            _document(response.content)
        return Response(response.status_code, response.text, response.headers)

    async def post(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """The document that Twilio answers; the same request and errors without the SDK, which
        takes longer for a message than everything else that is done about it.
        """
        try:
            answer = await self._client.post_form(
                self._base_url + path, urlencode(form).encode(), headers
            )
        except httpx.TransportError as error:
            raise _no_answer(error) from error
        if not answer.is_success:
            raise _failure(answer.status, answer.headers, answer.content)
        return _document(answer.content)


async def answer_of(ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The SDK's response; an unreadable one counts as Twilio's outage, not as our error."""
    try:
        return await ask()
    except (TwilioException, KeyError, TypeError, AttributeError) as error:
        raise ProviderUnavailable(
            f"Twilio answered what its SDK cannot read: {error}", code="UNREADABLE"
        ) from error


def _no_answer(error: httpx.TransportError) -> ProviderUnavailable:
    kind = NotTaken if never_connected(error) else ProviderUnavailable
    return kind(f"no answer from Twilio: {in_words(error)}", code=NO_ANSWER)


def _failure(status: int, headers: Mapping[str, str], content: bytes) -> ProviderError:
    """A 4xx without a Twilio code comes from a gateway in front of it and says nothing about the
    request.
    """
    document = _json(content)
    fields = document if isinstance(document, dict) else {}
    code = str(fields.get("code") or status)
    words = fields.get("message") or fields.get("detail") or fields.get("title") or ""
    message = f"Twilio answered {status} (code {code}): {words}"[:500]
    reference = headers.get("twilio-request-id", "")
    if status == 429:
        return NotTaken(message, code=code, reference=reference, retry_after=retry_after(headers))
    if status == 401 or (400 <= status < 500 and "code" in fields):
        kind = NotFound if status == 404 else ProviderRefused
        return kind(message, code=code, reference=reference)
    return ProviderUnavailable(
        message, code=code, reference=reference, retry_after=retry_after(headers)
    )


def _document(content: bytes) -> dict[str, Any]:
    document = _json(content)
    if not isinstance(document, dict):
        raise ProviderUnavailable("Twilio answered a success that is not JSON", code="UNREADABLE")
    return document


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
