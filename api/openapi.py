"""What the API says of itself: tags, and the problem document as the shape of every error."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.http.auth import OPERATOR, WRITE
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
    {"name": "switch", "description": "Moving a customer to another provider."},
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
    400: "The body cannot be read",
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
_SIGNED = {
    400: "The signature is wrong, or the body cannot be read",
    403: "The Twilio account is unknown",
    404: "The provider is not configured",
    413: "The body is too large",
}


_SPENDS = (402, 423)
_ASKS_PROVIDER = (409, 502)
OF_ENDPOINT: Mapping[str, tuple[int, ...]] = {
    "api.wallet.postings.post_credits": (409,),
    "api.wallet.postings.post_debits": (409, *_SPENDS),
    "api.wallet.holds.reserve": (409, *_SPENDS),
    "api.wallet.holds.capture": (409, *_SPENDS),
    "api.wallet.holds.release": (409,),
    "api.billing.topups.top_up": _ASKS_PROVIDER,
    "api.billing.subscriptions.link": _ASKS_PROVIDER,
    "api.billing.subscriptions.checkout": _ASKS_PROVIDER,
    "api.billing.subscription_actions.suspend": _ASKS_PROVIDER,
    "api.billing.subscription_actions.resume": _ASKS_PROVIDER,
    "api.billing.subscription_actions.cancel": _ASKS_PROVIDER,
    "api.billing.subscription_actions.plan": _ASKS_PROVIDER,
    "api.billing.subscription_actions.collect": _ASKS_PROVIDER,
    "api.switching.switches.start": (409,),
    "api.lifecycle.organizations.create": _ASKS_PROVIDER,
    "api.campaigns.campaigns.create": (409,),
    "api.campaigns.campaigns.start": (409, *_SPENDS),
    "api.campaigns.campaigns.resume": (409, *_SPENDS),
    "api.campaigns.campaigns.pause": (409,),
    "api.campaigns.campaigns.cancel": (409,),
    "api.campaigns.recipients.upload": (409,),
    "api.campaigns.messages.send": (409, *_SPENDS),
    "api.campaigns.messages.resend": (409, *_SPENDS),
    "api.campaigns.messages.charge": (409, *_SPENDS),
    "api.campaigns.messages.refund": (409,),
    "api.campaigns.callbacks.twilio_status": (403,),
}
"""What an endpoint decides by itself; the other statuses follow from its parameters and scope."""
_PLAIN = {"organization_id", "campaign_id", "message_id", "delivery_id"}
"""Path parameters for which any text is read, and at worst names nothing: 404."""


def problems(router: APIRouter) -> dict[int | str, dict[str, Any]]:
    """The errors that a router's routes can answer with."""
    if "health" in router.tags:
        return {}
    words = (_SIGNED if "webhooks" in router.tags else _BEHIND_A_KEY) | _EVERYWHERE
    return {
        status: {"model": ProblemOut, "description": description}
        for status, description in sorted(words.items())
    }


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(routes=app.routes, **_fields(app))
            _as_problems(schema)
            _drop_what_cannot_be(schema, routers)
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
    """Errors have a media type of their own."""
    for path in schema["paths"].values():
        for operation in path.values():
            answers = operation["responses"]
            for answer in answers.values():
                content = answer.get("content", {})
                shown = content.get("application/json", {}).get("schema", {})
                if shown.get("$ref", "").endswith("/ProblemOut"):
                    answer["content"] = {MEDIA_TYPE: content["application/json"]}
    for unused in ("HTTPValidationError", "ValidationError"):
        schema.get("components", {}).get("schemas", {}).pop(unused, None)


def _drop_what_cannot_be(schema: dict[str, Any], routers: Sequence[APIRouter]) -> None:
    """Each operation keeps the statuses that it can answer with."""
    for router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute) or route.path_format not in schema["paths"]:
                continue
            for method in (route.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}:
                operation = schema["paths"][route.path_format][method.lower()]
                answers = operation["responses"]
                kept = {str(code) for code in (*statuses(route, operation), *route.responses)}
                for status in [code for code in answers if code >= "400" and code not in kept]:
                    del answers[status]


def statuses(route: APIRoute, operation: Mapping[str, Any]) -> set[int]:
    """The errors that a route can answer with: by its parameters, its scope, and what it does."""
    endpoint = route.endpoint
    found = {503, *OF_ENDPOINT.get(f"{endpoint.__module__}.{endpoint.__name__}", ())}
    if "webhooks" in route.tags:
        return (
            found | {400, 413} | ({404} if endpoint.__module__ == "api.inbox.webhooks" else set())
        )
    found.add(401)
    if any(dependency in (WRITE, OPERATOR) for dependency in route.dependencies):
        found.add(403)
    if "{" in route.path_format:
        found.add(404)
    if "requestBody" in operation:
        found |= {400, 413, 422}
    if any(parameter["name"] not in _PLAIN for parameter in operation.get("parameters", ())):
        found.add(422)
    return found
