"""The Subscriptions API: plans and subscriptions."""

import json
import re
from decimal import Decimal
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.paypal.deliveries import Deliveries
from simulators.paypal.errors import ApiError
from simulators.paypal.lifecycle import Lifecycle
from simulators.paypal.resources import Resources
from simulators.paypal.state import Plan, State, Subscription, from_time
from simulators.transmissions import Event

_CUSTOM_ID = re.compile(r"[\x20-\x7e]{1,127}")
T = TypeVar("T")
_BASE = "/v1/billing/subscriptions"


class SubscriptionsApi:
    def __init__(
        self, state: State, lifecycle: Lifecycle, resources: Resources, deliveries: Deliveries
    ) -> None:
        self.state = state
        self.lifecycle = lifecycle
        self.resources = resources
        self.deliveries = deliveries

    def routes(self) -> list[Route]:
        path = f"{_BASE}/{{id}}"
        return [
            Route("/v1/billing/plans", self.create_plan, methods=["POST"]),
            Route("/v1/billing/plans", self.list_plans),
            Route("/v1/billing/plans/{id}", self.get_plan),
            Route(_BASE, self.create, methods=["POST"]),
            Route(_BASE, self.list_all),
            Route(path, self.get),
            Route(path, self.patch, methods=["PATCH"]),
            Route(f"{path}/suspend", self.suspend, methods=["POST"]),
            Route(f"{path}/activate", self.activate, methods=["POST"]),
            Route(f"{path}/cancel", self.cancel, methods=["POST"]),
            Route(f"{path}/revise", self.revise, methods=["POST"]),
            Route(f"{path}/capture", self.capture, methods=["POST"]),
            Route(f"{path}/transactions", self.transactions),
        ]

    async def create_plan(self, request: Request) -> Response:
        body = await read_json(request)
        earlier = self._replayed(request)
        plan = self.state.plans[earlier] if earlier else self._new_plan(body)
        self._remember(request, plan.id)
        return JSONResponse(self.resources.plan(plan), 200 if earlier else 201)

    async def list_plans(self, request: Request) -> Response:
        matches = [self.resources.plan(plan) for plan in self.state.plans.values()]
        return JSONResponse(
            {"plans": matches[: page_size(request)], "total_items": len(matches), "links": []}
        )

    async def get_plan(self, request: Request) -> Response:
        return JSONResponse(self.resources.plan(self._plan(request.path_params["id"])))

    async def create(self, request: Request) -> Response:
        body = await read_json(request)
        earlier = self._replayed(request)
        if earlier:
            return JSONResponse(
                represented(request, self.resources.subscription(self.state.subscriptions[earlier]))
            )
        subscription = self._new_subscription(body)
        self._remember(request, subscription.id)
        self.deliveries.deliver(self.lifecycle.created(subscription))
        return JSONResponse(represented(request, self.resources.subscription(subscription)), 201)

    async def list_all(self, request: Request) -> Response:
        query = request.query_params
        statuses = [each for each in query.get("statuses", "").split(",") if each]
        after = (
            from_time(query["status_updated_after"]) if "status_updated_after" in query else None
        )
        matches = [
            self.resources.subscription(each)
            for each in self.state.subscriptions.values()
            if (not statuses or each.status in statuses)
            and (after is None or each.status_updated > after)
        ]
        size, page = min(page_size(request), 20), int(query.get("page", "1"))
        return JSONResponse(
            {"subscriptions": matches[(page - 1) * size : page * size], "links": []}
        )

    async def get(self, request: Request) -> Response:
        fields = request.query_params.get("fields", "")
        subscription = self._subscription(request)
        frozen = self.state.frozen.get(subscription.id)
        return JSONResponse(frozen or self.resources.subscription(subscription, fields))

    async def patch(self, request: Request) -> Response:
        subscription = self._subscription(request)
        self._must_be(subscription, "ACTIVE", "SUSPENDED")
        for operation in json.loads(await request.body()):
            path, value = operation["path"], operation.get("value")
            if path == "/custom_id":
                subscription.custom_id = str(value)
            elif path == "/billing_info/outstanding_balance":
                subscription.outstanding = Decimal(value["value"])
            else:
                raise ApiError(422, "UNSUPPORTED_PATCH_OPERATION", field=path)
        return self._done(self.lifecycle.updated(subscription))

    async def suspend(self, request: Request) -> Response:
        subscription, reason = self._subscription(request), await self._reason(request)
        self._must_be(subscription, "ACTIVE")
        return self._done(self.lifecycle.suspend(subscription, by="merchant", note=reason))

    async def activate(self, request: Request) -> Response:
        subscription = self._subscription(request)
        reason = (await read_json(request)).get("reason")
        self._must_be(subscription, "SUSPENDED")
        owes = subscription.suspended_by == "nonpayment" and subscription.outstanding > 0
        if owes or subscription.suspended_by == "system":
            raise ApiError(422, "SUBSCRIPTION_CANNOT_BE_ACTIVATED")
        return self._done(self.lifecycle.activate(subscription, note=reason))

    async def cancel(self, request: Request) -> Response:
        subscription, reason = self._subscription(request), await self._reason(request)
        self._must_be(subscription, "ACTIVE", "SUSPENDED")
        return self._done(self.lifecycle.end(subscription, "CANCELLED", note=reason))

    async def revise(self, request: Request) -> Response:
        subscription, body = self._subscription(request), await read_json(request)
        self._must_be(subscription, "ACTIVE", "SUSPENDED")
        plan = self._plan(body.get("plan_id", subscription.plan_id))
        if plan.product_id != self.state.plans[subscription.plan_id].product_id:
            raise ApiError(422, "PLAN_PRODUCT_NOT_COMPATIBLE")
        subscription.revised_plan = plan.id
        consent = f"/webapps/billing/subscriptions/update?ba_token=BA-{subscription.id[2:]}"
        links = [self.resources.link("approve", consent)]
        return JSONResponse({"plan_id": plan.id, "plan_overridden": False, "links": links})

    async def capture(self, request: Request) -> Response:
        """PayPal's OpenAPI allows 200 with the transaction and 202 without a body: this returns the
        harder one to handle.
        """
        subscription, body = self._subscription(request), await read_json(request)
        if self._replayed(request):
            return Response(status_code=202)
        self._must_be(subscription, "ACTIVE", "SUSPENDED", "EXPIRED")
        amount = self._capturable(subscription, body)
        sale, events = self.lifecycle.collect(subscription, amount)
        self._remember(request, sale.id)
        self.deliveries.deliver(events)
        return Response(status_code=202)

    async def transactions(self, request: Request) -> Response:
        subscription = self._subscription(request)
        try:
            start = from_time(request.query_params["start_time"])
            end = from_time(request.query_params["end_time"])
        except KeyError as error:
            raise ApiError(400, "MISSING_REQUIRED_PARAMETER", field=str(error.args[0])) from None
        matches = [
            self.resources.transaction(sale)
            for sale in self.state.sales.values()
            if sale.subscription_id == subscription.id and start <= sale.created <= end
        ]
        return JSONResponse(
            {"transactions": matches, "links": [self.resources.link("self", request.url.path)]}
        )

    def _capturable(self, subscription: Subscription, body: dict[str, Any]) -> Decimal:
        for name in ("note", "capture_type", "amount"):
            if name not in body:
                raise ApiError(400, "MISSING_REQUIRED_PARAMETER", field=f"/{name}")
        amount = Decimal(body["amount"]["value"])
        if body["amount"]["currency_code"] != subscription.currency:
            raise ApiError(422, "CURRENCY_MISMATCH")
        if subscription.outstanding <= 0:
            raise ApiError(422, "ZERO_OUTSTANDING_BALANCE")
        if amount > subscription.outstanding:
            raise ApiError(422, "AMOUNT_GREATER_THAN_OUTSTANDING_BALANCE")
        if subscription.capture_issue is not None:
            raise ApiError(422, subscription.capture_issue)
        return amount

    def _new_plan(self, body: dict[str, Any]) -> Plan:
        try:
            price = body["billing_cycles"][-1]["pricing_scheme"]["fixed_price"]
            amount, currency = Decimal(price["value"]), str(price["currency_code"])
            name, product = str(body["name"]), str(body["product_id"])
        except (KeyError, IndexError, TypeError) as error:
            raise ApiError(400, "MISSING_REQUIRED_PARAMETER", field=str(error)) from None
        return self.state.add_plan(
            name=name, amount=amount, currency=currency, product_id=product, body=body
        )

    def _new_subscription(self, body: dict[str, Any]) -> Subscription:
        if "plan_id" not in body:
            raise ApiError(400, "MISSING_REQUIRED_PARAMETER", field="/plan_id", location="body")
        custom_id = body.get("custom_id")
        if custom_id is not None and not _CUSTOM_ID.fullmatch(custom_id):
            raise ApiError(400, "INVALID_PARAMETER_SYNTAX", field="/custom_id", location="body")
        subscription = self.lifecycle.create(
            plan_id=self._plan(body["plan_id"]).id,
            custom_id=custom_id,
            email=body.get("subscriber", {}).get("email_address", "buyer@example.com"),
            quantity=str(body.get("quantity", "1")),
            start=from_time(body["start_time"]) if "start_time" in body else None,
        )
        context = body.get("application_context", {})
        subscription.return_url, subscription.cancel_url = (
            context.get("return_url"),
            context.get("cancel_url"),
        )
        return subscription

    def _plan(self, plan_id: str) -> Plan:
        return _found(self.state.plans, plan_id)

    def _subscription(self, request: Request) -> Subscription:
        return _found(self.state.subscriptions, request.path_params["id"])

    def _must_be(self, subscription: Subscription, *statuses: str) -> None:
        if subscription.status not in statuses:
            raise ApiError(422, "SUBSCRIPTION_STATUS_INVALID")

    async def _reason(self, request: Request) -> str:
        reason = (await read_json(request)).get("reason")
        if not isinstance(reason, str) or not 1 <= len(reason) <= 128:
            raise ApiError(400, "MISSING_REQUIRED_PARAMETER", field="/reason", location="body")
        return reason

    def _done(self, events: list[Event]) -> Response:
        self.deliveries.deliver(events)
        return Response(status_code=204)

    def _replayed(self, request: Request) -> str | None:
        return self.state.replays.get(
            (request.url.path, request.headers.get("paypal-request-id", ""))
        )

    def _remember(self, request: Request, object_id: str) -> None:
        key = request.headers.get("paypal-request-id")
        if key:
            self.state.replays[(request.url.path, key)] = object_id


def _found(objects: dict[str, T], wanted: str) -> T:
    if wanted not in objects:
        raise ApiError(404, "INVALID_RESOURCE_ID")
    return objects[wanted]


async def read_json(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        value = json.loads(body) if body else {}
    except ValueError:
        raise ApiError(400, "MALFORMED_REQUEST_JSON") from None
    if not isinstance(value, dict):
        raise ApiError(400, "MALFORMED_REQUEST_JSON")
    return value


def represented(request: Request, whole: dict[str, Any]) -> dict[str, Any]:
    """By default `Prefer: return=minimal`: PayPal returns the id, the status and the links only."""
    if request.headers.get("prefer") == "return=representation":
        return whole
    return {name: whole[name] for name in ("id", "status", "links")}


def page_size(request: Request, default: int = 10) -> int:
    return int(request.query_params.get("page_size", default))
