"""Turns PayPal's HTTP responses into JSON or into our errors; never retries.

Sources: the error object of PayPal's OpenAPI documents (`name`, `debug_id`, `details[].issue`) and
RFC 6749, 5.2, for the token endpoint (`error`, `error_description`). `description` texts change:
only issues and names are passed on.
"""

import httpx

from providers.errors import NotFound, ProviderError, ProviderRefused, ProviderUnavailable
from providers.http import in_words, retry_after
from providers.paypal import reading
from providers.paypal.reading import Json

_TRY_AGAIN = frozenset({408, 409, 425, 429})  # 409: the same PayPal-Request-Id is in progress
# reported as 422
_IN_PROGRESS = frozenset({"ORDER_COMPLETION_IN_PROGRESS", "PREVIOUS_REQUEST_IN_PROGRESS"})


def body(response: httpx.Response) -> Json:
    """The JSON object of a success (empty for 204 and for an empty 202); raises for everything
    else.
    """
    if not response.is_success:
        raise failure(response)
    if not response.content:
        return {}
    try:
        return reading.document(response.content)
    except reading.NotJson as error:
        raise ProviderUnavailable(
            "PayPal answered a success that is not JSON",
            code="UNREADABLE",
            reference=_debug_id(response, {}),
        ) from error


def failure(response: httpx.Response) -> ProviderError:
    """A 403 or 404 without PayPal's error object comes from a gateway and proves nothing."""
    error = _error(response)
    issue = _code(error)
    code = issue or f"HTTP_{response.status_code}"
    reference = _debug_id(response, error)
    message = f"PayPal answered {response.status_code} {code} to {response.request.method} {response.request.url.path}"
    later = issue is None or issue in _IN_PROGRESS or response.status_code in _TRY_AGAIN
    if later or not 400 <= response.status_code < 500:
        return ProviderUnavailable(
            message, code=code, reference=reference, retry_after=retry_after(response.headers)
        )
    if response.status_code == 404:
        return NotFound(message, code=code, reference=reference)
    return ProviderRefused(message, code=code, reference=reference)


def no_answer(error: httpx.HTTPError) -> ProviderUnavailable:
    return ProviderUnavailable(f"no answer from PayPal: {in_words(error)}", code="NO_ANSWER")


def _error(response: httpx.Response) -> Json:
    try:
        return reading.document(response.content)
    except reading.NotJson:
        return {}


def _code(error: Json) -> str | None:
    for detail in reading.parts(error, "details"):
        issue = reading.text(detail, "issue")
        if issue is not None:
            return issue
    return reading.text(error, "name") or reading.text(error, "error")


def _debug_id(response: httpx.Response, error: Json) -> str:
    return reading.text(error, "debug_id") or response.headers.get("paypal-debug-id", "")
