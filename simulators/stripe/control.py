"""The control plane: actions of customers, banks and dunning; listing, holding, repeating and
forging deliveries.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.control import read_json
from simulators.stripe.checkouts import Checkouts, seen
from simulators.stripe.deliveries import Deliveries
from simulators.stripe.events import Events
from simulators.stripe.lifecycle import Lifecycle
from simulators.stripe.money import MoneyMoves
from simulators.stripe.state import DEFAULT_PRICE, Json, State, subscription_of, to_minor
from simulators.transmissions import Delivery, Event


class Control:
    def __init__(
        self,
        state: State,
        events: Events,
        lifecycle: Lifecycle,
        checkouts: Checkouts,
        moves: MoneyMoves,
        deliveries: Deliveries,
    ) -> None:
        self.state = state
        self.events = events
        self.lifecycle = lifecycle
        self.checkouts = checkouts
        self.moves = moves
        self.deliveries = deliveries

    def routes(self) -> list[Route]:
        post = ["POST"]
        return [
            Route("/_sim/prices", self.add_price, methods=post),
            Route("/_sim/subscriptions", self.subscribe, methods=post),
            Route("/_sim/subscriptions/{id}", self.get_subscription),
            Route("/_sim/subscriptions/{id}/{action}", self.act, methods=post),
            Route("/_sim/invoices/{id}/{action}", self.invoice, methods=post),
            Route("/_sim/checkout/{id}/{action}", self.checkout, methods=post),
            Route("/_sim/payments", self.payments),
            Route("/_sim/payments/{id}/refund", self.refund, methods=post),
            Route("/_sim/refunds/{id}/fail", self.fail_refund, methods=post),
            Route("/_sim/payments/{id}/dispute", self.dispute, methods=post),
            Route("/_sim/disputes/{id}/close", self.close_dispute, methods=post),
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
            Route("/_sim/counts", self.counts),
            self.deliveries.faults.route("/_sim/delivery_faults"),
        ]

    async def add_price(self, request: Request) -> Response:
        body = await read_json(request)
        minor = to_minor(Decimal(body["amount"]), body["currency"])
        return JSONResponse(self.state.add_price(body["id"], minor, body["currency"].lower()), 201)

    async def subscribe(self, request: Request) -> Response:
        body = await read_json(request)
        subscription, events = self.lifecycle.subscribe(
            body.get("price", DEFAULT_PRICE), organization_id=body.get("organization_id")
        )
        return self._answer(subscription, events, body)

    async def get_subscription(self, request: Request) -> Response:
        return JSONResponse(self.state.get(request.path_params["id"], "subscription"))

    async def act(self, request: Request) -> Response:
        """One of the actions below; `freeze_reads` lasts until `thaw_reads`."""
        subscription = self.state.get(request.path_params["id"], "subscription")
        body = await read_json(request)
        happen = self.lifecycle
        actions: dict[str, Callable[[], list[Event]]] = {
            "fail_payment": lambda: happen.fail_payment(subscription),
            "give_up": lambda: happen.give_up(subscription, body.get("outcome", "unpaid")),
            "pay": lambda: happen.pay(subscription),
            "bill": lambda: happen.bill(subscription, body["amount"], body.get("outcome", "paid")),
            "decline": lambda: happen.decline(subscription, body.get("code", "card_declined")),
            "cancel": lambda: happen.cancel(subscription),
            "cancel_at_period_end": lambda: happen.cancel_at_period_end(subscription),
            "end_period": lambda: happen.end_period(subscription),
            "pause": lambda: happen.pause(subscription, by=body.get("by", "pause_requested")),
            "resume": lambda: happen.resume(
                subscription, {"payment_behavior": "resume_on_payment_success"}
            ),
            "set_status": lambda: happen.set_status(subscription, body["status"]),
            "freeze_reads": lambda: self._freeze_reads(subscription),
            "thaw_reads": lambda: self._thaw_reads(subscription),
        }
        with self.state.moment_of(subscription["id"]):
            events = actions[request.path_params["action"]]()
        return self._answer(subscription, events, body)

    async def invoice(self, request: Request) -> Response:
        """pay, void, or mark_uncollectible."""
        invoice, body = (
            self.state.get(request.path_params["id"], "invoice"),
            await read_json(request),
        )
        actions: dict[str, Callable[[], list[Event]]] = {
            "pay": lambda: self.lifecycle.pay_invoice(invoice),
            "void": lambda: self.lifecycle.let_go(invoice, "void"),
            "mark_uncollectible": lambda: self.lifecycle.let_go(invoice, "uncollectible"),
        }
        with self.state.moment_of(subscription_of(invoice)):
            events = actions[request.path_params["action"]]()
        return self._answer(invoice, events, body)

    def _freeze_reads(self, subscription: Json) -> list[Event]:
        """From now on, reads return the present state: they lag behind the webhooks."""
        invoice = self.state.objects.get(subscription["latest_invoice"] or "")
        self.state.frozen[subscription["id"]] = deepcopy(
            {**subscription, "latest_invoice": invoice}
        )
        self.state.frozen_invoices[subscription["id"]] = deepcopy(list(self.state.all("invoice")))
        return []

    def _thaw_reads(self, subscription: Json) -> list[Event]:
        self.state.frozen.pop(subscription["id"], None)
        self.state.frozen_invoices.pop(subscription["id"], None)
        return []

    async def checkout(self, request: Request) -> Response:
        """complete, or expire."""
        session = self.state.get(request.path_params["id"], "checkout.session")
        actions = {"complete": self.checkouts.complete, "expire": self.checkouts.expire}
        events = actions[request.path_params["action"]](session)
        return self._answer(seen(session), events, await read_json(request))

    async def payments(self, request: Request) -> Response:
        """The payment intents of a subscription's invoices, oldest first."""
        wanted = request.query_params["subscription_id"]
        payments = [
            self.state.get(paid["payment"]["payment_intent"], "payment_intent")
            for paid in self.state.all("invoice_payment")
            if subscription_of(self.state.get(paid["invoice"], "invoice")) == wanted
            and "payment_intent" in paid["payment"]
        ]
        return JSONResponse({"payments": payments})

    async def refund(self, request: Request) -> Response:
        intent = self.state.get(request.path_params["id"], "payment_intent")
        body = await read_json(request)
        amount = to_minor(Decimal(body["amount"]), intent["currency"]) if "amount" in body else None
        refund, events = self.moves.refund(intent, amount)
        return self._answer(refund, events, body)

    async def fail_refund(self, request: Request) -> Response:
        refund = self.state.get(request.path_params["id"], "refund")
        return self._answer(refund, self.moves.fail_refund(refund), await read_json(request))

    async def dispute(self, request: Request) -> Response:
        intent = self.state.get(request.path_params["id"], "payment_intent")
        body = await read_json(request)
        dispute, events = self.moves.dispute(intent, body.get("reason", "fraudulent"))
        return self._answer(dispute, events, body)

    async def close_dispute(self, request: Request) -> Response:
        dispute = self.state.get(request.path_params["id"], "dispute")
        body = await read_json(request)
        return self._answer(dispute, self.moves.close(dispute, body["outcome"]), body)

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
        body = await read_json(request)
        event = self.events.all[request.path_params["id"]]
        return _deliveries(self.deliveries.deliver([event] * int(body.get("times", 1))))

    async def deliver_in_order(self, request: Request) -> Response:
        body = await read_json(request)
        return _deliveries(
            self.deliveries.deliver_in_order(self.events.all[each] for each in body["event_ids"])
        )

    async def list_deliveries(self, request: Request) -> Response:
        event_id = request.query_params.get("event_id")
        return _deliveries(
            [each for each in self.deliveries.all.values() if event_id in (None, each.event.id)],
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
        """Return headers and body for a caller that posts them itself; delivers nothing. `at` is in
        Unix seconds.
        """
        body = await read_json(request)
        raw = self.events.all[body["event_id"]].raw if "event_id" in body else _raw(body)
        headers = self.deliveries.signed_headers(
            raw, "", at=body.get("at"), secrets=body.get("secrets")
        )
        return JSONResponse(
            {
                "headers": headers,
                "body": raw.decode("utf-8", "replace"),
                "body_base64": _base64(raw),
            }
        )

    async def schedule(self, request: Request) -> Response:
        if request.method == "PATCH":
            self.deliveries.schedule.change(await read_json(request))
        return JSONResponse(self.deliveries.schedule.to_json())

    async def counts(self, _: Request) -> Response:
        statuses: dict[str, int] = {}
        for delivery in self.deliveries.all.values():
            statuses[delivery.status] = statuses.get(delivery.status, 0) + 1
        return JSONResponse(
            {"calls": self.state.calls, "events": len(self.events.all), "deliveries": statuses}
        )

    def _answer(self, resource: Json, events: list[Event], body: dict[str, Any]) -> Response:
        if body.get("deliver", True):
            self.deliveries.deliver(events)
        names = [{"id": event.id, "type": event.type} for event in events]
        return JSONResponse({"object": resource, "events": names})


def _raw(body: dict[str, Any]) -> bytes:
    return b64decode(body["raw_base64"]) if "raw_base64" in body else str(body["raw"]).encode()


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def _deliveries(deliveries: list[Delivery], status: int = 202) -> Response:
    return JSONResponse({"deliveries": [each.to_json() for each in deliveries]}, status)
