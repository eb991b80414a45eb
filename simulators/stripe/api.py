"""The part of Stripe's API v1 that a subscription business needs."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.stripe.checkouts import Checkouts, seen
from simulators.stripe.deliveries import Deliveries
from simulators.stripe.errors import ApiError, no_such
from simulators.stripe.events import Events
from simulators.stripe.forms import nested
from simulators.stripe.invoices import Declined, Impossible
from simulators.stripe.lifecycle import Lifecycle
from simulators.stripe.money import MoneyMoves
from simulators.stripe.parameters import checked
from simulators.stripe.requests import created_range, expansions, form, is_listed, page
from simulators.stripe.sessions import DAY, check_session
from simulators.stripe.state import ACCOUNT, Json, State, subscription_of
from simulators.transmissions import Event


class Api:
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
        self.url = ""

    def routes(self) -> list[Route]:
        post, get = ["POST"], ["GET"]
        id_path = "/{id}"
        plain = {
            "customers": "customer",
            "invoices": "invoice",
            "payment_intents": "payment_intent",
            "charges": "charge",
            "refunds": "refund",
            "disputes": "dispute",
            "prices": "price",
        }
        own_routes = [
            Route("/v1/account", self.account),
            Route("/v1/checkout/sessions", self.create_session, methods=post),
            Route("/v1/checkout/sessions" + id_path, self.get_session, methods=get),
            Route("/v1/checkout/sessions/{id}/expire", self.expire_session, methods=post),
            Route("/v1/customers", self.create_customer, methods=post),
            Route("/v1/subscriptions", self.list_subscriptions, methods=get),
            Route("/v1/subscriptions" + id_path, self.get_subscription, methods=get),
            Route("/v1/subscriptions" + id_path, self._acts(self.lifecycle.change), methods=post),
            Route("/v1/subscriptions" + id_path, self.cancel, methods=["DELETE"]),
            Route(
                "/v1/subscriptions/{id}/pause",
                self._acts(lambda subscription, _: self.lifecycle.pause(subscription)),
                methods=post,
            ),
            Route("/v1/subscriptions/{id}/resume", self._acts(self.lifecycle.resume), methods=post),
            Route("/v1/invoices", self.list_invoices, methods=get),
            Route("/v1/invoices/{id}/pay", self.pay_invoice, methods=post),
            Route("/v1/invoice_payments", self.list_invoice_payments, methods=get),
            Route("/v1/refunds", self.create_refund, methods=post),
            Route("/v1/events", self.list_events, methods=get),
            Route("/v1/events" + id_path, self.get_event, methods=get),
            *(
                Route(f"/v1/{path}/{{id}}", self._gets(kind), methods=get)
                for path, kind in plain.items()
            ),
        ]
        return [checked(route) for route in own_routes]

    async def account(self, _: Request) -> Response:
        return JSONResponse({"id": ACCOUNT, "object": "account"})

    async def create_session(self, request: Request) -> Response:
        body = await form(request)
        check_session(body, self.state)
        mode, line = body["mode"], body["line_items"]["0"]
        price, once = line.get("price"), line.get("price_data", {})
        data, minor = body.get("subscription_data", {}), int(once.get("unit_amount", 0))
        id_ = self.state.new_id("cs_test", 58)
        session = self.state.add(
            "checkout.session",
            "cs",
            id=id_,
            mode=mode,
            status="open",
            payment_status="unpaid",
            client_reference_id=body.get("client_reference_id"),
            metadata=body.get("metadata", {}),
            customer=body.get("customer"),
            subscription=None,
            payment_intent=None,
            amount_total=minor if mode == "payment" else None,
            currency=once.get("currency"),
            url=f"{self.url}/c/pay/{id_}",
            expires_at=int(body["expires_at"]) if "expires_at" in body else self.state.now() + DAY,
            _price=price,
            _subscription_data=data,
            _payment_intent_data=body.get("payment_intent_data", {}),
        )
        return JSONResponse(seen(session))

    async def get_session(self, request: Request) -> Response:
        return JSONResponse(
            self._expanded(seen(self._resource(request, "checkout.session")), request)
        )

    async def expire_session(self, request: Request) -> Response:
        session = self._resource(request, "checkout.session")
        self._deliver(lambda: self.checkouts.expire(session))
        return JSONResponse(seen(session))

    async def create_customer(self, request: Request) -> Response:
        body = await form(request)
        customer = self.state.add(
            "customer", "cus", email=body.get("email"), metadata=body.get("metadata", {})
        )
        return JSONResponse(customer)

    async def get_subscription(self, request: Request) -> Response:
        subscription = self._resource(request, "subscription")
        frozen = self.state.frozen.get(subscription["id"])
        return JSONResponse(frozen or self._expanded(dict(subscription), request))

    async def list_subscriptions(self, request: Request) -> Response:
        """Newest first; canceled ones only on request."""
        wanted, start, end = request.query_params, *created_range(request)
        listed = [
            subscription
            for subscription in self.state.all("subscription")
            if is_listed(subscription, wanted.get("status"))
            and wanted.get("customer") in (None, subscription["customer"])
            and start <= subscription["created"] <= end
        ]
        answer = page(listed[::-1], request, among=self.state.all("subscription"))
        answer["data"] = [
            self.state.frozen.get(each["id"]) or self._expanded(dict(each), request)
            for each in answer["data"]
        ]
        return JSONResponse(answer)

    async def cancel(self, request: Request) -> Response:
        subscription = self._resource(request, "subscription")
        if subscription["status"] in ("canceled", "incomplete_expired"):
            raise no_such(
                "subscription", subscription["id"]
            )  # Stripe's response to a second cancellation
        query = nested(request.url.query)  # a DELETE has its parameters in the query
        comment = query.get("cancellation_details", {}).get("comment", "")
        with self.state.moment_of(subscription["id"]):
            self._deliver(lambda: self.lifecycle.cancel(subscription, comment=comment))
        return JSONResponse(subscription)

    async def list_invoices(self, request: Request) -> Response:
        wanted, status = (request.query_params.get(name) for name in ("subscription", "status"))
        start, end = created_range(request)
        invoices = [
            invoice
            for invoice in self.state.frozen_invoices.get(wanted or "") or self.state.all("invoice")
            if wanted in (None, subscription_of(invoice))
            and status in (None, invoice["status"])
            and start <= invoice["created"] <= end
        ]
        return JSONResponse(
            page([self._invoice(invoice, request) for invoice in reversed(invoices)], request)
        )

    async def pay_invoice(self, request: Request) -> Response:
        invoice = self._resource(request, "invoice")
        body = await form(request)
        out_of_band = body.get("paid_out_of_band", "").lower() == "true"
        with self.state.moment_of(subscription_of(invoice)):
            self._deliver(lambda: self.lifecycle.pay_invoice(invoice, out_of_band=out_of_band))
        return JSONResponse(self._invoice(invoice, request))

    async def list_invoice_payments(self, request: Request) -> Response:
        wanted = request.query_params.get("payment[payment_intent]")
        invoice = request.query_params.get("invoice")
        payments = [
            dict(payment)
            for payment in self.state.all("invoice_payment")
            if wanted in (None, payment["payment"].get("payment_intent"))
            and invoice in (None, payment["invoice"])
        ]
        for each in payments:
            if "data.invoice" in expansions(request):
                each["invoice"] = self.state.get(each["invoice"], "invoice")
            intent_id = each["payment"].get("payment_intent")
            if intent_id and "data.payment.payment_intent" in expansions(request):
                each["payment"] = {
                    **each["payment"],
                    "payment_intent": self.state.get(intent_id, "payment_intent"),
                }
        return JSONResponse(page(payments, request))

    async def create_refund(self, request: Request) -> Response:
        body = await form(request)
        intent = self.state.objects.get(body.get("payment_intent", ""))
        if intent is None:
            raise no_such("payment_intent", body.get("payment_intent", ""))
        refunds: list[Json] = []

        def act() -> list[Event]:
            amount = int(body["amount"]) if "amount" in body else None
            refund, events = self.moves.refund(intent, amount, metadata=body.get("metadata"))
            refunds.append(refund)
            return events

        self._deliver(act)
        return JSONResponse(refunds[0])

    async def list_events(self, request: Request) -> Response:
        start, end = created_range(request)
        return JSONResponse(page(list(self.events.between(start, end)), request))

    async def get_event(self, request: Request) -> Response:
        event = self.events.all.get(request.path_params["id"])
        if event is None or event.body is None:
            raise no_such("event", request.path_params["id"])
        return JSONResponse(event.body)

    def _gets(self, kind: str) -> Callable[[Request], Any]:
        async def get(request: Request) -> Response:
            resource = self._resource(request, kind)
            if "latest_charge" in expansions(request):
                resource = {
                    **resource,
                    "latest_charge": self.state.get(resource["latest_charge"], "charge"),
                }
            return JSONResponse(self._invoice(resource, request) if kind == "invoice" else resource)

        return get

    def _acts(self, act: Callable[[Json, Json], list[Event]]) -> Callable[[Request], Any]:
        async def change(request: Request) -> Response:
            subscription = self._resource(request, "subscription")
            body = await form(request)
            with self.state.moment_of(subscription["id"]):
                self._deliver(lambda: act(subscription, body))
            return JSONResponse(subscription)

        return change

    def _resource(self, request: Request, kind: str) -> Json:
        id_ = request.path_params["id"]
        try:
            return self.state.get(id_, kind)
        except KeyError:
            raise no_such(kind, id_) from None

    def _deliver(self, act: Callable[[], list[Event]]) -> None:
        try:
            self.deliveries.deliver(act())
        except Impossible as problem:
            status, kind = (
                (402, "card_error")
                if isinstance(problem, Declined)
                else (400, "invalid_request_error")
            )
            raise ApiError(status, str(problem), kind=kind, code=problem.code) from problem

    def _expanded(self, resource: Json, request: Request) -> Json:
        wanted = expansions(request)
        if resource["object"] == "checkout.session" and "subscription" in {
            each.split(".")[0] for each in wanted
        }:
            subscription = self.state.objects.get(resource["subscription"] or "")
            resource["subscription"] = subscription and dict(subscription)
            if subscription and "subscription.latest_invoice" in wanted:
                resource["subscription"]["latest_invoice"] = self.state.objects.get(
                    subscription["latest_invoice"]
                )
        elif {"latest_invoice", "data.latest_invoice"} & wanted and resource.get("latest_invoice"):
            resource["latest_invoice"] = self.state.objects[resource["latest_invoice"]]
        return resource

    def _invoice(self, invoice: Json, request: Request) -> Json:
        """Its payments are returned only on request."""
        if not {"payments", "data.payments"} & expansions(request):
            return invoice
        payments = list(self.state.all("invoice_payment", invoice=invoice["id"]))
        return {**invoice, "payments": {"object": "list", "data": payments, "has_more": False}}
