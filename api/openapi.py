"""What the API says of itself: tags, and the problem document as the shape of every error."""

import json
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi

from api.http.errors import MEDIA_TYPE, ProblemOut

_TAGS = [
    {"name": "webhooks", "description": "What providers call. They sign; no API key."},
    {"name": "parked", "description": "Webhook deliveries that wait for a person."},
    {
        "name": "organizations",
        "description": "Onboarding, whether one may send and why, suspension by hand.",
    },
    {
        "name": "wallet",
        "description": "Prepaid money: credits, debits, the ledger, freezing by hand.",
    },
    {"name": "subscription", "description": "What an organization pays for, at its provider."},
    {"name": "migration", "description": "Moving a customer to another provider."},
    {"name": "campaigns", "description": "Many messages, sent while the gate is open."},
    {"name": "messages", "description": "One message."},
    {
        "name": "rates",
        "description": "What a segment costs, by country, for everybody and for one organization.",
    },
    {"name": "health", "description": "For load balancers and people."},
]
_DESCRIPTION = """
No message leaves without payment. Amounts are decimal strings with at most six decimals, beside their currency.
Every write can be repeated: by a reference id, an `Idempotency-Key`, or by its nature. Errors are problem documents
(RFC 9457): `errors` names fields, `reasons` says why an organization may not send. Every list is
read in pages: pass `next_cursor` as `cursor`; null on the last page.
"""
ABOUT: dict[str, Any] = {
    "title": "Tollgate",
    "summary": "Payment safety for companies that resell SMS",
    "description": _DESCRIPTION,
    "version": version("tollgate"),
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "openapi_tags": _TAGS,
}
_EVERYWHERE = {503: "The database or a provider does not answer: try again"}
_BEHIND_A_KEY = {
    401: "No API key, or none that is known",
    402: "The wallet does not hold enough",
    403: "The key's scope is too narrow",
    404: "There is no such organization, or no such thing of it",
    409: "A key or reference was used before with other content, or the state does not allow it",
    413: "The body is too large",
    422: "A field is not right; `errors` names it",
    423: "Suspended or frozen; `reasons` says why",
    502: "The provider refused what Tollgate asked of it",
}
_SIGNED = {400: "The signature is wrong, or the body cannot be read", 413: "The body is too large"}


def problems(router: APIRouter) -> dict[int | str, dict[str, Any]]:
    """The errors that a router's routes can answer with."""
    if "health" in router.tags:
        return {}
    words = (_SIGNED if "webhooks" in router.tags else _BEHIND_A_KEY) | _EVERYWHERE
    return {
        status: {"model": ProblemOut, "description": said} for status, said in sorted(words.items())
    }


def install(app: FastAPI) -> None:
    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(routes=app.routes, **_fields(app))
            _as_problems(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    @cache
    def written() -> bytes:
        """Once: it is large, and anybody may ask for it."""
        return json.dumps(described()).encode()

    @app.get("/openapi.json", include_in_schema=False)
    async def document() -> Response:
        return Response(written(), media_type="application/json")

    app.openapi = described  # type: ignore[method-assign]


def _fields(app: FastAPI) -> dict[str, Any]:
    return {
        "title": app.title,
        "version": app.version,
        "summary": app.summary,
        "description": app.description,
        "license_info": app.license_info,
        "tags": app.openapi_tags,
    }


def _as_problems(schema: dict[str, Any]) -> None:
    """Errors have a media type of their own, and only those statuses that a method can have."""
    for path in schema["paths"].values():
        for method, operation in path.items():
            answers = operation["responses"]
            if method == "get":
                for status in ("402", "409", "413", "423", "502"):
                    answers.pop(status, None)
            for answer in answers.values():
                content = answer.get("content", {})
                shown = content.get("application/json", {}).get("schema", {})
                if shown.get("$ref", "").endswith("/ProblemOut"):
                    answer["content"] = {MEDIA_TYPE: content["application/json"]}
    for unused in ("HTTPValidationError", "ValidationError"):
        schema.get("components", {}).get("schemas", {}).pop(unused, None)
