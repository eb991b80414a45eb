"""The Orders API v2: one-time payments, approved by their payer and captured by the merchant."""

from decimal import Decimal, InvalidOperation

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.paypal.deliveries import Deliveries
from simulators.paypal.errors import ApiError
from simulators.paypal.money import MoneyMoves
from simulators.paypal.resources import Resources
from simulators.paypal.state import Order, State, to_value
from simulators.paypal.subscriptions import read_json, represented

_ORDERS = "/v2/checkout/orders"


class OrdersApi:
    def __init__(
        self, state: State, moves: MoneyMoves, resources: Resources, deliveries: Deliveries
    ) -> None:
        self.state = state
        self.moves = moves
        self.resources = resources
        self.deliveries = deliveries

    def routes(self) -> list[Route]:
        return [
            Route(_ORDERS, self.create, methods=["POST"]),
            Route(f"{_ORDERS}/{{id}}", self.get),
            Route(f"{_ORDERS}/{{id}}/capture", self.capture, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        body = await read_json(request)
        key = (request.url.path, request.headers.get("paypal-request-id", ""))
        if not key[1]:
            raise ApiError(400, "PAYPAL_REQUEST_ID_REQUIRED")
        if key in self.state.replays:
            earlier = self.state.orders[self.state.replays[key]]
            return JSONResponse(represented(request, self.resources.order(earlier)))
        try:
            [unit] = body["purchase_units"]
            value, currency = str(unit["amount"]["value"]), str(unit["amount"]["currency_code"])
            amount = Decimal(value)
        except (KeyError, TypeError, ValueError, InvalidOperation):
            raise ApiError(400, "MISSING_REQUIRED_PARAMETER", field="/purchase_units") from None
        if value != to_value(amount, currency) or amount <= 0:
            raise ApiError(422, "DECIMAL_PRECISION", field="/purchase_units/0/amount/value")
        order = Order(
            id=self.state.new_id(),
            amount=amount,
            currency=currency,
            created=self.state.now(),
            custom_id=unit.get("custom_id"),
        )
        self.state.orders[order.id] = order
        self.state.replays[key] = order.id
        return JSONResponse(represented(request, self.resources.order(order)), 201)

    async def get(self, request: Request) -> Response:
        return JSONResponse(self.resources.order(self._order(request)))

    async def capture(self, request: Request) -> Response:
        order = self._order(request)
        key = (request.url.path, request.headers.get("paypal-request-id", ""))
        if key[1] and key in self.state.replays:
            return JSONResponse(represented(request, self.resources.order(order)))
        if key in self.state.refusals:
            raise ApiError(422, self.state.refusals[key])
        if order.status == "COMPLETED":
            raise ApiError(422, "ORDER_ALREADY_CAPTURED")
        if order.status != "APPROVED":
            raise ApiError(422, "ORDER_NOT_APPROVED")
        issue, order.capture_issue = order.capture_issue, None
        if issue is not None:
            if key[1]:
                self.state.refusals[key] = issue
            raise ApiError(422, issue)
        events = self.moves.capture(order)
        self.state.replays[key] = order.id
        self.deliveries.deliver(events)
        return JSONResponse(represented(request, self.resources.order(order)), 201)

    def _order(self, request: Request) -> Order:
        try:
            return self.state.orders[request.path_params["id"]]
        except KeyError:
            raise ApiError(404, "INVALID_RESOURCE_ID") from None
