"""The control plane of webhook delivery: send, repeat, reorder, hold, sign only, and list
deliveries.
"""

from base64 import b64decode, b64encode
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.control import read_json
from simulators.paypal.certificate import Kind
from simulators.paypal.control import at_of
from simulators.paypal.deliveries import Deliveries
from simulators.paypal.events import Events
from simulators.paypal.state import State
from simulators.paypal.tokens import Tokens
from simulators.transmissions import Delivery


class DeliveryControl:
    def __init__(
        self, state: State, events: Events, deliveries: Deliveries, tokens: Tokens
    ) -> None:
        self.state = state
        self.events = events
        self.deliveries = deliveries
        self.tokens = tokens

    def routes(self) -> list[Route]:
        post = ["POST"]
        return [
            Route("/_sim/webhooks", self.register, methods=post),
            Route("/_sim/events", self.list_events),
            Route("/_sim/events", self.send, methods=post),
            Route("/_sim/events/{id}/redeliver", self.redeliver, methods=post),
            Route("/_sim/deliver", self.deliver_in_order, methods=post),
            Route("/_sim/deliveries", self.list_deliveries),
            Route("/_sim/hold", self.hold, methods=post),
            Route("/_sim/release", self.release, methods=post),
            Route("/_sim/sign", self.sign, methods=post),
            Route("/_sim/ca", self.authority),
            Route("/_sim/certificate", self.choose_certificate, methods=post),
            Route("/_sim/schedule", self.schedule, methods=["GET", "PATCH"]),
            self.deliveries.faults.route("/_sim/delivery_faults"),
            Route("/_sim/tokens", self.change_tokens, methods=["PATCH"]),
            Route("/_sim/tokens/expire", self.expire_tokens, methods=post),
            Route("/_sim/clock", self.set_clock, methods=post),
            Route("/_sim/counts", self.counts),
        ]

    async def register(self, request: Request) -> Response:
        body = await read_json(request)
        webhook = self.deliveries.register(
            body["url"], body.get("event_types", ["*"]), body.get("id")
        )
        return JSONResponse({"id": webhook.id, "url": webhook.url}, 201)

    async def list_events(self, _: Request) -> Response:
        return JSONResponse({"events": [event.body for event in self.events.all.values()]})

    async def send(self, request: Request) -> Response:
        """Send any bytes as an event, signed without changes; `headers` replace or extend the
        signed ones.
        """
        body = await read_json(request)
        event = self.events.add_raw(_raw(body))
        sent = (
            self.deliveries.deliver([event], headers=body.get("headers"))
            if body.get("deliver", True)
            else []
        )
        return JSONResponse(
            {"event_id": event.id, "deliveries": [each.to_json() for each in sent]}, 201
        )

    async def redeliver(self, request: Request) -> Response:
        """`times` new transmissions of one event, at the same time."""
        body = await read_json(request)
        event = self.events.all[request.path_params["id"]]
        return _deliveries(
            self.deliveries.deliver(
                [event] * int(body.get("times", 1)), only=body.get("webhook_ids")
            )
        )

    async def deliver_in_order(self, request: Request) -> Response:
        """Post the given events in this order, each once before the next one."""
        body = await read_json(request)
        events = [self.events.all[each] for each in body["event_ids"]]
        return _deliveries(self.deliveries.deliver_in_order(events))

    async def list_deliveries(self, request: Request) -> Response:
        event_id, status = request.query_params.get("event_id"), request.query_params.get("status")
        return _deliveries(
            [
                each
                for each in self.deliveries.all.values()
                if event_id in (None, each.event.id) and status in (None, each.status)
            ],
            200,
        )

    async def hold(self, _: Request) -> Response:
        self.deliveries.holding = True
        return JSONResponse({"holding": True})

    async def release(self, request: Request) -> Response:
        body = await read_json(request)
        return _deliveries(
            self.deliveries.release(body.get("order", "fifo"), seed=body.get("seed", 0))
        )

    async def sign(self, request: Request) -> Response:
        """Return headers and body for a caller that posts them itself; delivers nothing."""
        body = await read_json(request)
        raw = self.events.all[body["event_id"]].raw if "event_id" in body else _raw(body)
        webhook_id = body.get("webhook_id") or next(iter(self.deliveries.webhooks))
        headers = self.deliveries.signed_headers(
            raw,
            webhook_id,
            at=at_of(body),
            certificate=_kind(body),
            transmission_id=body.get("transmission_id"),
        )
        return JSONResponse(
            {
                "headers": headers,
                "webhook_id": webhook_id,
                "body": raw.decode("utf-8", "replace"),
                "body_base64": b64encode(raw).decode(),
            }
        )

    async def authority(self, _: Request) -> Response:
        return Response(self.deliveries.authority.pem, media_type="application/x-pem-file")

    async def choose_certificate(self, request: Request) -> Response:
        """Select the certificate that signs from now on: good, expired, wrong_name, other_ca."""
        self.deliveries.certificate = Kind((await read_json(request))["kind"])
        return JSONResponse({"kind": self.deliveries.certificate.value})

    async def schedule(self, request: Request) -> Response:
        if request.method == "PATCH":
            self.deliveries.schedule.change(await read_json(request))
        return JSONResponse(self.deliveries.schedule.to_json())

    async def change_tokens(self, request: Request) -> Response:
        self.tokens.expires_in = int((await read_json(request))["expires_in"])
        return JSONResponse({"expires_in": self.tokens.expires_in})

    async def expire_tokens(self, _: Request) -> Response:
        self.tokens.expire_all()
        return JSONResponse({"fetches": self.tokens.fetches})

    async def set_clock(self, request: Request) -> Response:
        """Add the offset to every time in the simulator's responses and events."""
        self.state.clock_offset = timedelta(
            seconds=float((await read_json(request))["offset_seconds"])
        )
        return JSONResponse({"now": self.state.now().isoformat()})

    async def counts(self, _: Request) -> Response:
        statuses: dict[str, int] = {}
        for delivery in self.deliveries.all.values():
            statuses[delivery.status] = statuses.get(delivery.status, 0) + 1
        return JSONResponse(
            {
                "token_fetches": self.tokens.fetches,
                "calls": self.state.calls,
                "subscriptions": len(self.state.subscriptions),
                "events": len(self.events.all),
                "deliveries": statuses,
            }
        )


def _raw(body: dict[str, Any]) -> bytes:
    return b64decode(body["raw_base64"]) if "raw_base64" in body else str(body["raw"]).encode()


def _kind(body: dict[str, Any]) -> Kind | None:
    return Kind(body["certificate"]) if "certificate" in body else None


def _deliveries(deliveries: list[Delivery], status: int = 202) -> Response:
    return JSONResponse({"deliveries": [each.to_json() for each in deliveries]}, status)
