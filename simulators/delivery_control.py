"""The part that the control planes of all billing providers share: send, repeat, reorder and hold
back webhook deliveries, and look at what happened.
"""

from base64 import b64decode, b64encode
from collections import Counter
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.control import read_json
from simulators.deliveries import Deliveries
from simulators.transmissions import Delivery, Event


class Events(Protocol):
    all: dict[str, Event]

    def add_raw(self, raw: bytes) -> Event: ...


class DeliveryControl:
    """A provider's subclass signs on request: only it knows what its signatures need."""

    def __init__(self, events: Events, deliveries: Deliveries) -> None:
        self._events = events
        self._deliveries = deliveries

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
            Route("/_sim/schedule", self.schedule, methods=["GET", "PATCH"]),
            self._deliveries.faults.route("/_sim/delivery_faults"),
        ]

    async def register(self, request: Request) -> Response:
        body = await read_json(request)
        webhook = self._deliveries.register(
            body["url"], body.get("event_types", ["*"]), body.get("id")
        )
        return JSONResponse({"id": webhook.id, "url": webhook.url}, 201)

    async def list_events(self, _: Request) -> Response:
        return JSONResponse({"events": [event.body for event in self._events.all.values()]})

    async def send(self, request: Request) -> Response:
        """Send any bytes as an event, signed without changes; `headers` replace or extend the
        signed ones.
        """
        body = await read_json(request)
        event = self._events.add_raw(_raw(body))
        sent = (
            self._deliveries.deliver([event], headers=body.get("headers"))
            if body.get("deliver", True)
            else []
        )
        return JSONResponse(
            {"event_id": event.id, "deliveries": [each.to_json() for each in sent]}, 201
        )

    async def redeliver(self, request: Request) -> Response:
        """`times` new transmissions of one event, at the same time."""
        body = await read_json(request)
        event = self._events.all[request.path_params["id"]]
        return _listed(
            self._deliveries.deliver(
                [event] * int(body.get("times", 1)), only=body.get("webhook_ids")
            )
        )

    async def deliver_in_order(self, request: Request) -> Response:
        """Post the given events in this order, each once before the next one."""
        body = await read_json(request)
        events = [self._events.all[each] for each in body["event_ids"]]
        return _listed(self._deliveries.deliver_in_order(events))

    async def list_deliveries(self, request: Request) -> Response:
        event_id, status = request.query_params.get("event_id"), request.query_params.get("status")
        return _listed(
            [
                each
                for each in self._deliveries.all.values()
                if event_id in (None, each.event.id) and status in (None, each.status)
            ],
            200,
        )

    async def hold(self, _: Request) -> Response:
        self._deliveries.holding = True
        return JSONResponse({"holding": True})

    async def release(self, request: Request) -> Response:
        body = await read_json(request)
        return _listed(
            self._deliveries.release(body.get("order", "fifo"), seed=body.get("seed", 0))
        )

    async def sign(self, request: Request) -> Response:
        """Return headers and body for a caller that posts them itself; delivers nothing."""
        body = await read_json(request)
        raw = self._events.all[body["event_id"]].raw if "event_id" in body else _raw(body)
        return JSONResponse(
            {
                **self.signed(raw, body),
                "body": raw.decode("utf-8", "replace"),
                "body_base64": b64encode(raw).decode(),
            }
        )

    def signed(self, raw: bytes, body: dict[str, Any]) -> dict[str, Any]:
        """`headers` for these bytes, as `body` asks for them, and what else the response has."""
        raise NotImplementedError

    async def schedule(self, request: Request) -> Response:
        if request.method == "PATCH":
            self._deliveries.schedule.change(await read_json(request))
        return JSONResponse(self._deliveries.schedule.to_json())

    def statuses(self) -> dict[str, int]:
        """How many deliveries have each status."""
        return dict(Counter(delivery.status for delivery in self._deliveries.all.values()))


def _raw(body: dict[str, Any]) -> bytes:
    return b64decode(body["raw_base64"]) if "raw_base64" in body else str(body["raw"]).encode()


def _listed(deliveries: list[Delivery], status: int = 202) -> Response:
    return JSONResponse({"deliveries": [each.to_json() for each in deliveries]}, status)
