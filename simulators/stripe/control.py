"""The control plane: actions of customers, banks and dunning; listing, holding, repeating and
forging deliveries.
"""

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.control import read_json
from simulators.delivery_control import DeliveryControl
from simulators.stripe.checkouts import Checkouts, seen
from simulators.stripe.deliveries import Deliveries
from simulators.stripe.events import Events
from simulators.stripe.lifecycle import Lifecycle
from simulators.stripe.money import MoneyMoves
from simulators.stripe.state import DEFAULT_PRICE, Json, State, subscription_of, to_minor
from simulators.transmissions import Event


class Control(DeliveryControl):
    def __init__(
        self,
        state: State,
        events: Events,
        lifecycle: Lifecycle,
        checkouts: Checkouts,
        moves: MoneyMoves,
        deliveries: Deliveries,
    ) -> None:
        super().__init__(events, deliveries)
        self.state = state
        self.events = events
        self.lifecycle = lifecycle
        self.checkouts = checkouts
        self.moves = moves
        self.deliveries = deliveries

    def routes(self) -> list[Route]:
        post = ["POST"]
        return [
            *super().routes(),
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
            Route("/_sim/counts", self.counts),
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

    def signed(self, raw: bytes, body: dict[str, Any]) -> dict[str, Any]:
        """`at` is in Unix seconds."""
        headers = self.deliveries.signed_headers(
            raw, "", at=body.get("at"), secrets=body.get("secrets")
        )
        return {"headers": headers}

    async def counts(self, _: Request) -> Response:
        return JSONResponse(
            {
                "calls": self.state.calls,
                "events": len(self.events.all),
                "deliveries": self.statuses(),
            }
        )

    def _answer(self, resource: Json, events: list[Event], body: dict[str, Any]) -> Response:
        if body.get("deliver", True):
            self.deliveries.deliver(events)
        names = [{"id": event.id, "type": event.type} for event in events]
        return JSONResponse({"object": resource, "events": names})
