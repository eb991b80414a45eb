"""The description of the API: tags, and the problems that each operation can answer with."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.events.webhooks_document import webhooks
from api.http.auth import OPERATOR, WRITE
from api.http.document import finish
from api.http.errors import ProblemOut
from api.http.idempotency import REPLAYED

_TAGS = [
    {"name": "webhooks", "description": "Called by providers, which sign their requests."},
    {"name": "parked", "description": "Webhook deliveries that wait for a decision of a person."},
    {
        "name": "organizations",
        "description": "Creating organizations, suspending them, and why one may not send.",
    },
    {
        "name": "wallet",
        "description": "Prepaid money: credits, debits, holds, the ledger, manual freezes.",
    },
    {"name": "subscription", "description": "The subscription that an organization pays for."},
    {"name": "switch", "description": "Switching a customer to another provider."},
    {"name": "campaigns", "description": "Messages to many recipients, sent while payment lasts."},
    {"name": "messages", "description": "Single messages."},
    {
        "name": "rates",
        "description": "Prices per segment by country: default rates and an organization's own.",
    },
    {
        "name": "carrier",
        "description": "What Twilio charges, and who pays it: the bill, and policies of categories.",
    },
    {"name": "alerts", "description": "Conditions that need a person, and who looks after them."},
    {"name": "events", "description": "What happened, in the order in which it was recorded."},
    {
        "name": "webhook-endpoints",
        "description": "Where the host application is told what happened, and what was delivered.",
    },
    {
        "name": "operations",
        "description": "What waits for an operator, what operators did, and acts over many.",
    },
    {"name": "api-keys", "description": "Who may call the API."},
    {"name": "health", "description": "Health and metrics, for load balancers and monitoring."},
]
_DESCRIPTION = """
No message leaves without payment.

Amounts are decimal strings with at most six decimals; the currency stands beside them. Every write can be repeated
safely: by a reference, by an `Idempotency-Key`, which counts for one organization and one operation, or because it
sets a state. A response with the header `Idempotent-Replayed: true` is that of an earlier request.
Errors are problem documents (RFC 9457):
`code` names the cause, `errors` the wrong fields, `reasons` why the organization may not send. Every list is paged:
pass `next_cursor` as `cursor` to get the next page; it is null on the last page.
"""
ABOUT: dict[str, Any] = {
    "title": "Tollgate",
    "summary": "Payment safety for companies that resell SMS",
    "description": _DESCRIPTION,
    "version": version("tollgate"),
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "openapi_tags": _TAGS,
}
_EVERYWHERE = {503: "The database or a provider does not answer; try again"}
_BEHIND_A_KEY = {
    400: "The body cannot be read",
    401: "The API key is missing, unknown or revoked",
    402: "The balance is not enough",
    403: "The scope of the API key is insufficient",
    404: "The organization, or what the path names, does not exist",
    409: "A key or reference was used with other content, or the current state does not allow it",
    413: "The body is too large",
    422: "A field or query parameter is not valid; `errors` names it",
    423: "The organization is suspended or its wallet frozen; `reasons` says why",
    502: "The provider refused the request",
}
_SIGNED = {
    400: "The signature is wrong, or the body cannot be read",
    403: "The Twilio account is unknown",
    404: "The provider is not configured",
    413: "The body is too large",
}
_SPENDS = (402, 423)
_ASKS_PROVIDER = (409, 502)
OF_OPERATION: Mapping[str, tuple[int, ...]] = {
    "credit_wallet": (409,),
    "debit_wallet": (409, *_SPENDS),
    "create_hold": (409, *_SPENDS),
    "capture_hold": (409, *_SPENDS),
    "release_hold": (409,),
    "create_topup": _ASKS_PROVIDER,
    "link_subscription": _ASKS_PROVIDER,
    "create_checkout": _ASKS_PROVIDER,
    "suspend_subscription": _ASKS_PROVIDER,
    "resume_subscription": _ASKS_PROVIDER,
    "cancel_subscription": _ASKS_PROVIDER,
    "change_plan": _ASKS_PROVIDER,
    "collect_payment": _ASKS_PROVIDER,
    "start_switch": (409,),
    "create_organization": _ASKS_PROVIDER,
    "update_organization": _ASKS_PROVIDER,
    "set_rate": _ASKS_PROVIDER,
    "set_organization_rate": _ASKS_PROVIDER,
    "create_release": _ASKS_PROVIDER,
    "create_campaign": (409,),
    "start_campaign": (409, *_SPENDS),
    "resume_campaign": (409, *_SPENDS),
    "pause_campaign": (409,),
    "cancel_campaign": (409,),
    "upload_recipients": (409,),
    "send_message": (409, *_SPENDS),
    "resend_message": (409, *_SPENDS),
    "charge_message": (409, *_SPENDS),
    "refund_message": (409,),
    "close_alert_of_kind": (409,),
    "create_webhook_endpoint": (409,),
    "rotate_webhook_secret": (409,),
    "confirm_bulk_act": (409,),
    "change_notification_route": (409,),
    "receive_twilio_status": (403,),
    "receive_twilio_usage": (403,),
}
"""What an endpoint decides by itself; the other statuses follow from its parameters and scope."""
_REPLAYED = {
    "description": "Present if an earlier request did it, and nothing was done now.",
    "schema": {"type": "string", "enum": ["true"]},
}


def problems(router: APIRouter) -> dict[int | str, dict[str, Any]]:
    """The errors that the routes of a router can answer with."""
    words = (_SIGNED if "webhooks" in router.tags else _BEHIND_A_KEY) | _EVERYWHERE
    if "health" in router.tags:
        words = {422: words[422]}
    return {
        status: {"model": ProblemOut, "description": description}
        for status, description in sorted(words.items())
    }


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(routes=app.routes, **_fields(app))
            _drop_what_cannot_be(schema, routers)
            finish(schema)
            _mark_replays(schema)
            schema["webhooks"] = webhooks()
            app.openapi_schema = schema
        return app.openapi_schema

    @cache
    def written() -> bytes:
        """Serialized once: the document is large, and anybody may request it."""
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
        "servers": [{"url": "/", "description": "The host that serves this document"}],
    }


def _drop_what_cannot_be(schema: dict[str, Any], routers: Sequence[APIRouter]) -> None:
    """Removes the statuses that an operation cannot answer with."""
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


def _mark_replays(schema: dict[str, Any]) -> None:
    """An operation that takes a key may be answered from an earlier request."""
    for path in schema["paths"].values():
        for operation in path.values():
            if _takes_a_key(operation):
                for status, answer in operation["responses"].items():
                    if status in ("200", "204"):
                        answer["headers"] = {REPLAYED: _REPLAYED}


def _takes_a_key(operation: Mapping[str, Any]) -> bool:
    names = [parameter["name"].lower() for parameter in operation.get("parameters", ())]
    return "idempotency-key" in names


def statuses(route: APIRoute, operation: Mapping[str, Any]) -> set[int]:
    """The errors that a route can answer with, by its parameters, its scope and what it does."""
    endpoint = route.endpoint
    found = {503, *OF_OPERATION.get(route.operation_id or "", ())}
    if "webhooks" in route.tags:
        return (
            found | {400, 413} | ({404} if endpoint.__module__ == "api.inbox.webhooks" else set())
        )
    found.add(422)  # for an unknown query parameter
    if "health" in route.tags:
        return found
    found.add(401)
    if any(dependency in (WRITE, OPERATOR) for dependency in route.dependencies):
        found.add(403)
    if "{" in route.path_format:
        found.add(404)
    if "requestBody" in operation:
        found |= {400, 413}
    if _takes_a_key(operation):
        found.add(409)
    return found
