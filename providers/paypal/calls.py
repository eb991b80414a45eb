"""Makes one authorized call to PayPal: renews a rejected token and repeats the call once; never
retries otherwise.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from providers.errors import NotFound
from providers.paypal import answers
from providers.paypal.oauth import Tokens
from providers.paypal.reading import Json


class Calls:
    def __init__(self, client: httpx.AsyncClient, tokens: Tokens) -> None:
        self._client = client
        self._tokens = tokens

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        return answers.body(await self._authorized("GET", path, params=params))

    async def post(
        self, path: str, body: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Json:
        """`idempotency_key` only where PayPal honors it (create, capture; kept for 72 hours)."""
        headers = {"PayPal-Request-Id": idempotency_key} if idempotency_key is not None else {}
        return answers.body(await self._authorized("POST", path, json=dict(body), headers=headers))

    async def post_verbatim(self, path: str, body: bytes) -> Json:
        headers = {"Content-Type": "application/json"}
        return answers.body(await self._authorized("POST", path, content=body, headers=headers))

    async def _authorized(self, method: str, path: str, **request: Any) -> httpx.Response:
        token = await self._tokens.current()
        response = await self._once(method, path, token, **request)
        if response.status_code != 401:
            return response
        self._tokens.forget(token)
        return await self._once(method, path, await self._tokens.current(), **request)

    async def _once(
        self,
        method: str,
        path: str,
        token: str,
        *,
        headers: Mapping[str, str] | None = None,
        **request: Any,
    ) -> httpx.Response:
        try:
            return await self._client.request(
                method,
                path,
                headers={"Authorization": f"Bearer {token}", **(headers or {})},
                **request,
            )
        except httpx.HTTPError as error:
            raise answers.no_answer(error) from error


def between(start: datetime, end: datetime) -> dict[str, str]:
    return {"start_time": rfc3339(start), "end_time": rfc3339(end)}


def rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def segment(id_: str) -> str:
    """An id as one path segment: ids come from webhooks, and `..` or `/` would address another
    resource.
    """
    if id_ in ("", ".", ".."):  # quoting does not help: clients resolve `%2E%2E`, too
        raise NotFound(f"{id_!r} is not a PayPal id", code="NOT_AN_ID")
    return quote(id_, safe="")
