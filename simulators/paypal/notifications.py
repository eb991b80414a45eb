"""The Webhooks API: registrations, certificates, the list of events, and online verification."""

import json
from base64 import b64decode
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.paypal.certificate import signed_text
from simulators.paypal.deliveries import Deliveries
from simulators.paypal.errors import ApiError
from simulators.paypal.events import Events
from simulators.paypal.money_resources import Json
from simulators.paypal.resources import Resources
from simulators.paypal.state import from_time
from simulators.paypal.subscriptions import page_size, read_json
from simulators.transmissions import Event, Webhook

_EVENTS = "/v1/notifications/webhooks-events"
_WEBHOOKS = "/v1/notifications/webhooks"


class NotificationsApi:
    def __init__(self, events: Events, deliveries: Deliveries, resources: Resources) -> None:
        self.events = events
        self.deliveries = deliveries
        self.resources = resources

    def routes(self) -> list[Route]:
        return [
            Route(_WEBHOOKS, self.register, methods=["POST"]),
            Route(_WEBHOOKS, self.list_webhooks),
            Route(f"{_WEBHOOKS}/{{id}}", self.unregister, methods=["DELETE"]),
            Route(_EVENTS, self.list_events),
            Route(f"{_EVENTS}/{{id}}", self.get_event),
            Route(f"{_EVENTS}/{{id}}/resend", self.resend, methods=["POST"]),
            Route("/v1/notifications/verify-webhook-signature", self.verify, methods=["POST"]),
        ]

    async def certificate(self, request: Request) -> Response:
        """Public, as at PayPal: no token is required."""
        leaf = self.deliveries.authority.find(request.path_params["id"])
        if leaf is None:
            raise ApiError(404, "INVALID_RESOURCE_ID")
        return Response(leaf.pem, media_type="application/x-pem-file")

    async def issuer(self, request: Request) -> Response:
        """Also public; a real authority serves it on another host. The media type is that of RFC
        2585.
        """
        certificate = self.deliveries.authority.issuer(request.path_params["name"])
        if certificate is None:
            raise ApiError(404, "INVALID_RESOURCE_ID")
        return Response(certificate, media_type="application/pkix-cert")

    async def register(self, request: Request) -> Response:
        body = await read_json(request)
        if not str(body.get("url", "")).startswith("http"):
            raise ApiError(400, "MISSING_REQUIRED_PARAMETER", field="/url", location="body")
        if any(each.url == body["url"] for each in self.deliveries.webhooks.values()):
            raise ApiError(400, "WEBHOOK_URL_ALREADY_EXISTS")
        types = [each["name"] for each in body.get("event_types", [{"name": "*"}])]
        return JSONResponse(self._webhook(self.deliveries.register(body["url"], types)), 201)

    async def list_webhooks(self, _: Request) -> Response:
        return JSONResponse(
            {"webhooks": [self._webhook(each) for each in self.deliveries.webhooks.values()]}
        )

    async def unregister(self, request: Request) -> Response:
        if self.deliveries.webhooks.pop(request.path_params["id"], None) is None:
            raise ApiError(404, "INVALID_RESOURCE_ID")
        return Response(status_code=204)

    async def list_events(self, request: Request) -> Response:
        query = request.query_params
        start = from_time(query["start_time"]) if "start_time" in query else None
        end = from_time(query["end_time"]) if "end_time" in query else None
        events = self.events.between(start, end, query.get("event_type"))
        size, first = page_size(request), int(query.get("start_index", "0"))
        shown = events[first : first + size]
        links = [self.resources.link("self", f"{_EVENTS}?{request.url.query}")]
        if first + size < len(events):
            following = request.url.include_query_params(start_index=first + size)
            links.append(self.resources.link("next", f"{_EVENTS}?{following.query}"))
        return JSONResponse(
            {"events": [each.body for each in shown], "count": len(shown), "links": links}
        )

    async def get_event(self, request: Request) -> Response:
        return Response(self._event(request).raw, media_type="application/json")

    async def resend(self, request: Request) -> Response:
        event, query = self._event(request), await read_json(request)
        wanted = query.get("webhook_ids")
        webhooks = self.deliveries.webhooks
        if wanted is not None and not set(wanted) <= webhooks.keys():
            raise ApiError(404, "INVALID_RESOURCE_ID")
        self.deliveries.deliver([event], only=wanted)
        return JSONResponse(event.body, 202)

    async def verify(self, request: Request) -> Response:
        """SUCCESS only for the delivered bytes verbatim, so `webhook_event` is cut out of the
        request unparsed.
        """
        raw = await request.body()
        body = await read_json(request)
        registered = body.get("webhook_id") in self.deliveries.webhooks
        event = member(raw.decode(), "webhook_event")
        good = registered and event is not None and self._signature_holds(body, event.encode())
        return JSONResponse({"verification_status": "SUCCESS" if good else "FAILURE"})

    def _signature_holds(self, body: dict[str, Any], event: bytes) -> bool:
        leaf = self.deliveries.authority.find(
            urlsplit(str(body.get("cert_url"))).path.rpartition("/")[2]
        )
        try:
            text = signed_text(
                body["transmission_id"], body["transmission_time"], body["webhook_id"], event
            )
            signature = b64decode(body["transmission_sig"], validate=True)
        except (KeyError, ValueError):
            return False
        return leaf is not None and leaf.verifies(signature, text)

    def _event(self, request: Request) -> Event:
        event = self.events.all.get(request.path_params["id"])
        if event is None:
            raise ApiError(404, "INVALID_RESOURCE_ID")
        return event

    def _webhook(self, webhook: Webhook) -> Json:
        return {
            "id": webhook.id,
            "url": webhook.url,
            "event_types": [{"name": name} for name in webhook.event_types],
            "links": [self.resources.link("self", f"{_WEBHOOKS}/{webhook.id}")],
        }


def member(text: str, name: str) -> str | None:
    """The unparsed source text of one member of a JSON object."""
    decoder = json.JSONDecoder()
    at = text.index("{") + 1
    while True:
        at = _skip(text, at, ", \t\r\n")
        if text[at] == "}":
            return None
        key, at = decoder.raw_decode(text, at)
        start = _skip(text, at, ": \t\r\n")
        _, at = decoder.raw_decode(text, start)
        if key == name:
            return text[start:at]


def _skip(text: str, at: int, skipped: str) -> int:
    while text[at] in skipped:
        at += 1
    return at
