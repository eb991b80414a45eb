"""Turns the SDK's answers into plain JSON and its exceptions into ours; never into a retry.

Source: Stripe's error object (`type`, `code`), and its idempotency rules: 409 while a request with
the same key is in progress; the response to a key, even a decline, is kept for at least a day.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import stripe

from providers.errors import NotFound, ProviderError, ProviderRefused, ProviderUnavailable
from providers.http import retry_after
from providers.reading import Json, part, parts, text

_TRY_AGAIN = frozenset({408, 409, 425, 429})
_BAD_REQUEST = 400
_PAYMENT_FAILED = 402
_ID = re.compile("[A-Za-z0-9_]{1,255}")
MOST_ON_A_PAGE = 100


class Declined(ProviderRefused):
    """The customer's bank declined, or requires the customer's confirmation; the caller turns it
    into a result.
    """


class Unfit(ProviderRefused):
    """400: Stripe understood the request, but the object or a named parameter does not allow it."""


def named(id_: str) -> str:
    """An id that is safe in a path; anything but Stripe's ids could address another resource
    (`..`).
    """
    if not _ID.fullmatch(id_):
        raise NotFound(f"{id_!r} is not a Stripe id", code="NOT_AN_ID")
    return id_


async def json_of(request: Awaitable[Any]) -> Json:
    """The JSON object in Stripe's response. Raises `ProviderUnavailable` or `ProviderRefused`."""
    return (await json_and_time_of(request))[0]


async def json_and_time_of(request: Awaitable[Any]) -> tuple[Json, datetime | None]:
    """The JSON object and the second of Stripe's clock when the request was made; the object
    includes everything before it.
    """
    with _translated():
        answer = getattr(await request, "last_response", None)  # the SDK returns a list unchanged
    if answer is None or not isinstance(answer.data, dict):
        raise ProviderUnavailable(
            "Stripe answered a success that is not an object", code="UNREADABLE"
        )
    return answer.data, _queried_at(answer.headers)


async def pages(
    ask: Callable[[Any], Awaitable[Any]], parameters: Mapping[str, Any]
) -> AsyncIterator[Json]:
    """Each object of a list, newest first."""
    wanted: dict[str, Any] = {**parameters, "limit": MOST_ON_A_PAGE}
    while True:
        page = await json_of(ask(wanted))
        found = parts(page, "data")
        for item in found:
            yield item
        last = text(found[-1], "id") if found else None
        if last is None or page.get("has_more") is not True:
            return
        wanted["starting_after"] = last


def between(start: datetime, end: datetime) -> dict[str, int]:
    return {"gte": int(start.timestamp()), "lte": int(end.timestamp())}


def _queried_at(headers: Any) -> datetime | None:
    try:
        answered = parsedate_to_datetime(headers["date"])
        elapsed = timedelta(seconds=float(headers["x-elapsed-seconds"]))
    except (KeyError, TypeError, ValueError):
        return None
    return (answered.astimezone(UTC) - elapsed).replace(microsecond=0)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except stripe.StripeError as problem:
        raise _failure(problem) from problem


def _failure(problem: stripe.StripeError) -> ProviderError:
    status = problem.http_status or 0
    error = part(problem.json_body, "error") if isinstance(problem.json_body, dict) else {}
    # the SDK drops some errors' codes
    code = text(error, "code") or text(error, "type") or f"HTTP_{status}"
    reference = problem.request_id or ""
    message = f"Stripe answered {status} {code}" if status else str(problem.user_message or problem)
    if status in _TRY_AGAIN or not 400 <= status < 500 or not error:
        wait = retry_after(httpx.Headers(dict(problem.headers or {})))
        return ProviderUnavailable(
            message, code=code if status else "NO_ANSWER", reference=reference, retry_after=wait
        )
    if status == _PAYMENT_FAILED or code == "invoice_payment_intent_requires_action":
        return Declined(message, code=code, reference=reference)
    # any other 404 is a wrong address and says nothing about the object
    if status == 404 and code == "resource_missing":
        return NotFound(message, code=code, reference=reference)
    if status == _BAD_REQUEST and code != "idempotency_error":
        return Unfit(f"{message}: {text(error, 'message') or ''}", code=code, reference=reference)
    return ProviderRefused(message, code=code, reference=reference)
