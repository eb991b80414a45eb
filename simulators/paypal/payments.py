"""Money objects by id: sales and refunds (v1), captures and refunds (v2), disputes."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.paypal.errors import ApiError
from simulators.paypal.resources import Resources
from simulators.paypal.state import Capture, State


class PaymentsApi:
    def __init__(self, state: State, resources: Resources) -> None:
        self.state = state
        self.resources = resources

    def routes(self) -> list[Route]:
        return [
            Route("/v1/payments/sale/{id}", self.sale),
            Route("/v1/payments/refund/{id}", self.refund_of_sale),
            Route("/v2/payments/captures/{id}", self.capture),
            Route("/v2/payments/refunds/{id}", self.refund_of_capture),
            Route("/v1/customer/disputes/{id}", self.dispute),
        ]

    async def sale(self, request: Request) -> Response:
        return JSONResponse(self.resources.sale(_found(self.state.sales, request)))

    async def capture(self, request: Request) -> Response:
        return JSONResponse(self.resources.capture(_found(self.state.captures, request)))

    async def refund_of_sale(self, request: Request) -> Response:
        return self._refund(request, of_capture=False)

    async def refund_of_capture(self, request: Request) -> Response:
        return self._refund(request, of_capture=True)

    async def dispute(self, request: Request) -> Response:
        return JSONResponse(self.resources.dispute(_found(self.state.disputes, request)))

    def _refund(self, request: Request, *, of_capture: bool) -> Response:
        refund = _found(self.state.refunds, request)
        if isinstance(refund.payment, Capture) != of_capture:
            raise ApiError(404, "INVALID_RESOURCE_ID")
        return JSONResponse(self.resources.refund(refund))


def _found(objects: dict[str, Any], request: Request) -> Any:
    try:
        return objects[request.path_params["id"]]
    except KeyError:
        raise ApiError(404, "INVALID_RESOURCE_ID") from None
