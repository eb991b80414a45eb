"""The PayPal simulator's control plane: each action of a buyer, of dunning or of an operator is one
call under /_sim/.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.control import read_json
from simulators.paypal.deliveries import Deliveries
from simulators.paypal.lifecycle import Lifecycle
from simulators.paypal.money import MoneyMoves
from simulators.paypal.money_resources import Json
from simulators.paypal.resources import Resources
from simulators.paypal.state import DEFAULT_PLAN, State, Subscription, from_time
from simulators.transmissions import Event

Action = Callable[[Subscription, dict[str, Any]], list[Event]]


class Control:
    """Every response is `{"object": …, "events": […]}`; `at` sets the time of the change, `deliver`
    false holds its events.
    """

    def __init__(
        self,
        state: State,
        lifecycle: Lifecycle,
        moves: MoneyMoves,
        deliveries: Deliveries,
        resources: Resources,
    ) -> None:
        self.state = state
        self.lifecycle = lifecycle
        self.moves = moves
        self.deliveries = deliveries
        self.resources = resources
        self.actions: dict[str, Action] = {
            "approve": lambda subscription, body: lifecycle.approve(subscription, at_of(body)),
            "fail_payment": self._fail_payment,
            "suspend": lambda subscription, body: lifecycle.suspend(
                subscription, at_of(body), by=body.get("by", "nonpayment"), note=body.get("note")
            ),
            "pay": lambda subscription, body: lifecycle.pay(
                subscription, at_of(body), amount_of(body)
            ),
            "activate": lambda subscription, body: lifecycle.activate(
                subscription, at_of(body), note=body.get("note")
            ),
            "cancel": lambda subscription, body: lifecycle.end(
                subscription, "CANCELLED", at_of(body), body.get("note")
            ),
            "expire": lambda subscription, body: lifecycle.end(
                subscription, "EXPIRED", at_of(body), body.get("note")
            ),
            "update": self._update,
            "freeze_reads": self._freeze_reads,
            "thaw_reads": self._thaw_reads,
        }

    def routes(self) -> list[Route]:
        post = ["POST"]
        return [
            Route("/_sim/subscriptions", self.create, methods=post),
            Route("/_sim/subscriptions", self.list_all),
            Route("/_sim/subscriptions/bulk", self.create_many, methods=post),
            Route("/_sim/subscriptions/bulk/{action}", self.act_on_many, methods=post),
            Route("/_sim/subscriptions/{id}/{action}", self.act, methods=post),
            Route("/_sim/captures", self.top_up, methods=post),
            Route("/_sim/sales", self.sell_once, methods=post),
            Route("/_sim/orders/{id}/approve", self.approve_order, methods=post),
            Route("/_sim/payments", self.list_payments),
            Route("/_sim/payments/{id}/refund", self.refund, methods=post),
            Route("/_sim/payments/{id}/reverse", self.reverse, methods=post),
            Route("/_sim/payments/{id}/dispute", self.dispute, methods=post),
            Route("/_sim/disputes/{id}/move", self.move_dispute, methods=post),
        ]

    async def create(self, request: Request) -> Response:
        """Create an ACTIVE subscription with its first payment, or one with the requested status."""
        body = await read_json(request)
        subscription, events = self._create(body)
        if "status" in body:
            subscription.status = str(body["status"])
        return self._answer(self.resources.subscription(subscription), events, body)

    async def create_many(self, request: Request) -> Response:
        """Ids are I-{prefix}{number}; events are held unless `deliver` is true."""
        body = {"deliver": False, **await read_json(request)}
        prefix, custom = str(body.get("prefix", "BULK")), str(body.get("custom_id", "org_{n}"))
        first = int(body.get("first", 1))
        created = []
        for number in range(first, first + int(body["count"])):
            subscription_body = {
                **body,
                "id": f"I-{prefix}{number:0{max(12 - len(prefix), 1)}d}",
                "custom_id": custom.replace("{n}", str(number)),
            }
            subscription, events = self._create(subscription_body)
            if body["deliver"]:
                self.deliveries.deliver(events)
            created.append({"id": subscription.id, "custom_id": subscription.custom_id})
        return JSONResponse({"subscriptions": created}, 201)

    async def list_all(self, _: Request) -> Response:
        return JSONResponse(
            {
                "subscriptions": [
                    self.resources.subscription(each) for each in self.state.subscriptions.values()
                ]
            }
        )

    async def act(self, request: Request) -> Response:
        body = await read_json(request)
        subscription = self.state.subscriptions[request.path_params["id"]]
        events = self.actions[request.path_params["action"]](subscription, body)
        return self._answer(
            self.resources.subscription(subscription, "last_failed_payment"), events, body
        )

    async def act_on_many(self, request: Request) -> Response:
        """Perform the action on every subscription in `ids`, or on each whose id starts with
        I-{prefix}.
        """
        body = await read_json(request)
        action = self.actions[request.path_params["action"]]
        if "ids" in body:
            chosen = [self.state.subscriptions[each] for each in body["ids"]]
        else:
            start = f"I-{body['prefix']}"
            chosen = [
                each for name, each in self.state.subscriptions.items() if name.startswith(start)
            ]
        events = [event for subscription in chosen for event in action(subscription, body)]
        if body.get("deliver", True):
            self.deliveries.deliver(events)
        return JSONResponse({"count": len(chosen), "event_ids": [event.id for event in events]})

    async def top_up(self, request: Request) -> Response:
        body = await read_json(request)
        capture, events = self.moves.top_up(
            Decimal(body["amount"]),
            body.get("currency", "USD"),
            custom_id=body.get("custom_id"),
            invoice_id=body.get("invoice_id"),
            at=at_of(body),
            status=body.get("status", "COMPLETED"),
            capture_id=body.get("id"),
        )
        return self._answer(self.resources.capture(capture), events, body)

    async def sell_once(self, request: Request) -> Response:
        body = await read_json(request)
        sale, events = self.moves.sell_once(
            Decimal(body["amount"]),
            body.get("currency", "USD"),
            custom=body.get("custom"),
            at=at_of(body),
        )
        return self._answer(self.resources.sale(sale), events, body)

    async def approve_order(self, request: Request) -> Response:
        """`capture_issue`: the issue with which PayPal refuses its capture, once."""
        body = await read_json(request)
        order = self.state.orders[request.path_params["id"]]
        order.capture_issue = body.get("capture_issue")
        events = self.moves.approve(order)
        return self._answer(self.resources.order(order), events, body)

    async def list_payments(self, request: Request) -> Response:
        wanted = request.query_params.get("subscription_id")
        sales = [
            each for each in self.state.sales.values() if wanted in (None, each.subscription_id)
        ]
        return JSONResponse(
            {
                "sales": [self.resources.sale(each) for each in sales],
                "captures": [self.resources.capture(each) for each in self.state.captures.values()],
                "refunds": [self.resources.refund(each) for each in self.state.refunds.values()],
            }
        )

    async def refund(self, request: Request) -> Response:
        return await self._pay_back(request, reversal=False)

    async def reverse(self, request: Request) -> Response:
        return await self._pay_back(request, reversal=True)

    async def dispute(self, request: Request) -> Response:
        body = await read_json(request)
        payment = self.state.payment(request.path_params["id"])
        reason = body.get("reason", "MERCHANDISE_OR_SERVICE_NOT_RECEIVED")
        dispute, events = self.moves.open_dispute(
            payment, reason=reason, amount=amount_of(body), at=at_of(body)
        )
        return self._answer(self.resources.dispute(dispute), events, body)

    async def move_dispute(self, request: Request) -> Response:
        body = await read_json(request)
        dispute = self.state.disputes[request.path_params["id"]]
        events = self.moves.move_dispute(
            dispute,
            status=body.get("status", "RESOLVED"),
            outcome=body.get("outcome"),
            at=at_of(body),
        )
        return self._answer(self.resources.dispute(dispute), events, body)

    async def _pay_back(self, request: Request, *, reversal: bool) -> Response:
        body = await read_json(request)
        payment = self.state.payment(request.path_params["id"])
        refund, events = self.moves.refund(payment, amount_of(body), at_of(body), reversal=reversal)
        return self._answer(self.resources.refund(refund), events, body)

    def _create(self, body: dict[str, Any]) -> tuple[Subscription, list[Event]]:
        subscription = self.lifecycle.create(
            plan_id=body.get("plan_id", DEFAULT_PLAN),
            custom_id=body.get("custom_id"),
            subscription_id=body.get("id"),
            at=at_of(body),
            email=body.get("email", "buyer@example.com"),
        )
        events = self.lifecycle.created(subscription)
        if body.get("status", "ACTIVE") == "ACTIVE":
            events += self.lifecycle.approve(subscription, at_of(body))
        return subscription, events

    def _fail_payment(self, subscription: Subscription, body: dict[str, Any]) -> list[Event]:
        """`counted` false: PayPal will retry before it counts the failure."""
        reason, counted = (
            body.get("reason_code", "PAYMENT_DENIED"),
            bool(body.get("counted", True)),
        )
        return self.lifecycle.fail_payment(
            subscription, at_of(body), reason_code=reason, amount=amount_of(body), counted=counted
        )

    def _update(self, subscription: Subscription, body: dict[str, Any]) -> list[Event]:
        """Set values that no PayPal event sets: any status, the custom id, the issue of refused
        captures.
        """
        now = at_of(body) or self.lifecycle.moment(subscription)
        subscription.custom_id = body.get("custom_id", subscription.custom_id)
        subscription.capture_issue = body.get("capture_issue", subscription.capture_issue)
        if "outstanding" in body:
            subscription.outstanding = Decimal(body["outstanding"])
        if "failed_payments" in body:
            subscription.failed_payments = int(body["failed_payments"])
        if "next_billing" in body:
            subscription.next_billing = from_time(body["next_billing"])
        if "status" in body:
            subscription.status, subscription.status_updated = str(body["status"]), now
        return self.lifecycle.updated(subscription, now)

    def _freeze_reads(self, subscription: Subscription, _: dict[str, Any]) -> list[Event]:
        """From now on, reads return the present state: they lag behind the webhooks."""
        self.state.frozen[subscription.id] = self.resources.subscription(
            subscription, "last_failed_payment,plan"
        )
        return []

    def _thaw_reads(self, subscription: Subscription, _: dict[str, Any]) -> list[Event]:
        self.state.frozen.pop(subscription.id, None)
        return []

    def _answer(self, resource: Json, events: list[Event], body: dict[str, Any]) -> Response:
        if body.get("deliver", True):
            self.deliveries.deliver(events)
        return JSONResponse({"object": resource, "events": [event.body for event in events]}, 201)


def at_of(body: dict[str, Any]) -> datetime | None:
    return from_time(body["at"]) if body.get("at") else None


def amount_of(body: dict[str, Any]) -> Decimal | None:
    return Decimal(str(body["amount"])) if "amount" in body else None
