"""Runs Stripe's SDK over our own HTTP client with its time limits; never retries, never runs
synchronously.
"""

from collections.abc import AsyncIterable, Mapping
from typing import Any, NoReturn

import httpx
import stripe

from providers.http import in_words

stripe.enable_telemetry = (
    False  # it would store an id in the home directory and send it with every call
)
_RETRIES_ARE_TEMPORALS = "Stripe's SDK tried to wait and retry"


class Wire(stripe.HTTPClient):
    """`client` has its time limits set; the SDK passes whole URLs."""

    name = "httpx"

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__()
        self._client = client

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            answer = await self._client.request(
                method, url, headers=dict(headers), content=post_data
            )
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            failure: Exception = stripe.APIConnectionError(  # type: ignore[no-untyped-call]
                f"no answer from Stripe: {in_words(problem)}"
            )
            raise failure from problem
        answer_headers = dict(answer.headers)
        answer_headers["x-elapsed-seconds"] = str(answer.elapsed.total_seconds())
        return answer.content, answer.status_code, answer_headers

    async def request_stream_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[AsyncIterable[bytes], int, Mapping[str, str]]:
        raise NotImplementedError("streaming is not used here")

    def sleep_async(self, secs: float) -> NoReturn:
        raise NotImplementedError(_RETRIES_ARE_TEMPORALS)

    async def close_async(self) -> None:
        """The client's owner closes it."""
