"""The PayPal simulator's control plane: what a buyer, dunning or an operator does, by one call
under /_sim/.
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
from simulators.paypal.resources import Json, Resources
from simulators.paypal.state import DEFAULT_PLAN, State, Subscription, from_time
from simulators.transmissions import Event

Action = Callable[[Subscription, dict[str, Any]], list[Event]]


class Control:
    """Every answer is `{"object": …, "events": […]}`; `at` sets the time of it, `deliver` false
    keeps it back.
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
            "approve": lambda it, asked: lifecycle.approve(it, at_of(asked)),
            "fail_payment": self._fail_payment,
            "suspend": lambda it, asked: lifecycle.suspend(
                it, at_of(asked), by=asked.get("by", "nonpayment"), note=asked.get("note")
            ),
            "pay": lambda it, asked: lifecycle.pay(it, at_of(asked), amount_of(asked)),
            "activate": lambda it, asked: lifecycle.activate(
                it, at_of(asked), note=asked.get("note")
            ),
            "cancel": lambda it, asked: lifecycle.end(
                it, "CANCELLED", at_of(asked), asked.get("note")
            ),
            "expire": lambda it, asked: lifecycle.end(
                it, "EXPIRED", at_of(asked), asked.get("note")
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
        """An ACTIVE subscription with its first payment, or another status where one is asked
        for.
        """
        asked = await read_json(request)
        subscription, events = self._create(asked)
        if "status" in asked:
            subscription.status = str(asked["status"])
        return self._done(self.resources.subscription(subscription), events, asked)

    async def create_many(self, request: Request) -> Response:
        """Ids are I-{prefix}{number}; events are kept back unless `deliver` is true."""
        asked = {"deliver": False, **await read_json(request)}
        prefix, custom = str(asked.get("prefix", "BULK")), str(asked.get("custom_id", "org_{n}"))
        first = int(asked.get("first", 1))
        made = []
        for number in range(first, first + int(asked["count"])):
            one = {
                **asked,
                "id": f"I-{prefix}{number:0{max(12 - len(prefix), 1)}d}",
                "custom_id": custom.replace("{n}", str(number)),
            }
            subscription, events = self._create(one)
            if asked["deliver"]:
                self.deliveries.deliver(events)
            made.append({"id": subscription.id, "custom_id": subscription.custom_id})
        return JSONResponse({"subscriptions": made}, 201)

    async def list_all(self, _: Request) -> Response:
        return JSONResponse(
            {
                "subscriptions": [
                    self.resources.subscription(each) for each in self.state.subscriptions.values()
                ]
            }
        )

    async def act(self, request: Request) -> Response:
        asked = await read_json(request)
        subscription = self.state.subscriptions[request.path_params["id"]]
        events = self.actions[request.path_params["action"]](subscription, asked)
        return self._done(
            self.resources.subscription(subscription, "last_failed_payment"), events, asked
        )

    async def act_on_many(self, request: Request) -> Response:
        """The same to every subscription in `ids`, or to each whose id starts with I-{prefix}."""
        asked = await read_json(request)
        action = self.actions[request.path_params["action"]]
        if "ids" in asked:
            chosen = [self.state.subscriptions[each] for each in asked["ids"]]
        else:
            start = f"I-{asked['prefix']}"
            chosen = [
                each for name, each in self.state.subscriptions.items() if name.startswith(start)
            ]
        events = [event for subscription in chosen for event in action(subscription, asked)]
        if asked.get("deliver", True):
            self.deliveries.deliver(events)
        return JSONResponse({"count": len(chosen), "event_ids": [event.id for event in events]})

    async def top_up(self, request: Request) -> Response:
        asked = await read_json(request)
        capture, events = self.moves.top_up(
            Decimal(asked["amount"]),
            asked.get("currency", "USD"),
            custom_id=asked.get("custom_id"),
            invoice_id=asked.get("invoice_id"),
            at=at_of(asked),
            status=asked.get("status", "COMPLETED"),
            capture_id=asked.get("id"),
        )
        return self._done(self.resources.capture(capture), events, asked)

    async def sell_once(self, request: Request) -> Response:
        asked = await read_json(request)
        sale, events = self.moves.sell_once(
            Decimal(asked["amount"]),
            asked.get("currency", "USD"),
            custom=asked.get("custom"),
            at=at_of(asked),
        )
        return self._done(self.resources.sale(sale), events, asked)

    async def approve_order(self, request: Request) -> Response:
        """`capture_issue`: what PayPal will refuse its capture with, once."""
        asked = await read_json(request)
        order = self.state.orders[request.path_params["id"]]
        order.capture_issue = asked.get("capture_issue")
        events = self.moves.approve(order)
        return self._done(self.resources.order(order), events, asked)

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
        asked = await read_json(request)
        payment = self.state.payment(request.path_params["id"])
        reason = asked.get("reason", "MERCHANDISE_OR_SERVICE_NOT_RECEIVED")
        dispute, events = self.moves.open_dispute(
            payment, reason=reason, amount=amount_of(asked), at=at_of(asked)
        )
        return self._done(self.resources.dispute(dispute), events, asked)

    async def move_dispute(self, request: Request) -> Response:
        asked = await read_json(request)
        dispute = self.state.disputes[request.path_params["id"]]
        events = self.moves.move_dispute(
            dispute,
            status=asked.get("status", "RESOLVED"),
            outcome=asked.get("outcome"),
            at=at_of(asked),
        )
        return self._done(self.resources.dispute(dispute), events, asked)

    async def _pay_back(self, request: Request, *, reversal: bool) -> Response:
        asked = await read_json(request)
        payment = self.state.payment(request.path_params["id"])
        refund, events = self.moves.refund(
            payment, amount_of(asked), at_of(asked), reversal=reversal
        )
        return self._done(self.resources.refund(refund), events, asked)

    def _create(self, asked: dict[str, Any]) -> tuple[Subscription, list[Event]]:
        subscription = self.lifecycle.create(
            plan_id=asked.get("plan_id", DEFAULT_PLAN),
            custom_id=asked.get("custom_id"),
            subscription_id=asked.get("id"),
            at=at_of(asked),
            email=asked.get("email", "buyer@example.com"),
        )
        events = self.lifecycle.created(subscription)
        if asked.get("status", "ACTIVE") == "ACTIVE":
            events += self.lifecycle.approve(subscription, at_of(asked))
        return subscription, events

    def _fail_payment(self, it: Subscription, asked: dict[str, Any]) -> list[Event]:
        """`counted` false: PayPal will try again before it counts the failure."""
        reason, counted = (
            asked.get("reason_code", "PAYMENT_DENIED"),
            bool(asked.get("counted", True)),
        )
        return self.lifecycle.fail_payment(
            it, at_of(asked), reason_code=reason, amount=amount_of(asked), counted=counted
        )

    def _update(self, it: Subscription, asked: dict[str, Any]) -> list[Event]:
        """Set what no event of PayPal's sets by itself: any status, the custom id, what a capture
        is refused with.
        """
        now = at_of(asked) or self.lifecycle.moment(it)
        it.custom_id = asked.get("custom_id", it.custom_id)
        it.capture_issue = asked.get("capture_issue", it.capture_issue)
        if "outstanding" in asked:
            it.outstanding = Decimal(asked["outstanding"])
        if "failed_payments" in asked:
            it.failed_payments = int(asked["failed_payments"])
        if "next_billing" in asked:
            it.next_billing = from_time(asked["next_billing"])
        if "status" in asked:
            it.status, it.status_updated = str(asked["status"]), now
        return self.lifecycle.updated(it, now)

    def _freeze_reads(self, it: Subscription, _: dict[str, Any]) -> list[Event]:
        """Whoever reads it from now on sees it as it is now: reads that lag behind the webhooks."""
        self.state.frozen[it.id] = self.resources.subscription(it, "last_failed_payment,plan")
        return []

    def _thaw_reads(self, it: Subscription, _: dict[str, Any]) -> list[Event]:
        self.state.frozen.pop(it.id, None)
        return []

    def _done(self, body: Json, events: list[Event], asked: dict[str, Any]) -> Response:
        if asked.get("deliver", True):
            self.deliveries.deliver(events)
        return JSONResponse({"object": body, "events": [event.body for event in events]}, 201)


def at_of(asked: dict[str, Any]) -> datetime | None:
    return from_time(asked["at"]) if asked.get("at") else None


def amount_of(asked: dict[str, Any]) -> Decimal | None:
    return Decimal(str(asked["amount"])) if "amount" in asked else None
