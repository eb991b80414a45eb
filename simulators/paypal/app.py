"""The PayPal simulator: its APIs, its control plane, and the webhooks that it sends."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from simulators.control import BAD_REQUESTS, faults_route, not_found
from simulators.faults import Faults, FaultyApp
from simulators.paypal.certificate import ISSUERS, Authority
from simulators.paypal.control import Control
from simulators.paypal.deliveries import Deliveries
from simulators.paypal.delivery_control import DeliveryControl
from simulators.paypal.errors import ApiError, error_response, fault_body
from simulators.paypal.events import Events
from simulators.paypal.lifecycle import Lifecycle
from simulators.paypal.money import MoneyMoves, Refused
from simulators.paypal.notifications import NotificationsApi
from simulators.paypal.orders import OrdersApi
from simulators.paypal.payments import PaymentsApi
from simulators.paypal.renewals import Renewals
from simulators.paypal.resources import Resources
from simulators.paypal.state import State
from simulators.paypal.subscriptions import SubscriptionsApi
from simulators.paypal.tokens import Tokens

CLIENT_ID = "sim-client-id"
CLIENT_SECRET = "sim-client-secret"
_CERTIFICATES = "/v1/notifications/certs/"
_TOKEN = "/v1/oauth2/token"


class PayPalSimulator:
    """Serve it with `simulators.serving.serve`; state, deliveries, lifecycle, moves and faults may
    be used directly.
    """

    def __init__(
        self,
        *,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        webhook_url: str | None = None,
        webhook_id: str | None = None,
        ca_file: str | None = None,
        seed: int = 0,
        authority: Authority | None = None,
    ) -> None:
        self.state = State(seed)
        self.authority = authority or Authority()
        self.faults = Faults()
        self.tokens = Tokens(client_id, client_secret)
        self.resources = Resources(self.state)
        self.events = Events(self.state, self.resources)
        self.deliveries = Deliveries(self.state, self.resources, self.authority)
        self.lifecycle = Lifecycle(self.state, self.events, self.resources)
        self.renewals = Renewals(self.state, self.lifecycle)
        self.moves = MoneyMoves(self.state, self.events, self.resources)
        if webhook_url is not None:
            self.deliveries.register(webhook_url, webhook_id=webhook_id)
        if ca_file is not None:
            Path(ca_file).write_bytes(self.authority.pem)
        self._api, self._control = self._api_app(), self._control_app()
        self._app = FaultyApp(self._answer, self.faults, fault_body)

    @property
    def url(self) -> str:
        return self.resources.url

    @url.setter
    def url(self, value: str) -> None:
        self.resources.url = value

    @property
    def app(self) -> ASGIApp:
        return self._app

    async def start(self) -> None:
        self.deliveries.start()

    async def stop(self) -> None:
        await self.deliveries.stop()

    def reset(self) -> None:
        """Reset everything except credentials, tokens and registered webhooks."""
        self.state.reset()
        self.events.all.clear()
        self.deliveries.reset()
        self.faults.clear()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith("/_sim/"):
            await self._control(scope, receive, send)
            return
        call = f"{scope['method']} {path}"
        self.state.calls[call] = self.state.calls.get(call, 0) + 1
        if path != _TOKEN and not path.startswith((_CERTIFICATES, ISSUERS)):
            try:
                self.tokens.check(Request(scope))
            except ApiError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._api(scope, receive, send)

    def _api_app(self) -> Starlette:
        notifications = NotificationsApi(self.events, self.deliveries, self.resources)
        return Starlette(
            routes=[
                Route(_TOKEN, self.tokens.issue, methods=["POST"]),
                Route(_CERTIFICATES + "{id}", notifications.certificate),
                Route(ISSUERS + "{name}", notifications.issuer),
                *SubscriptionsApi(
                    self.state, self.lifecycle, self.resources, self.deliveries
                ).routes(),
                *OrdersApi(self.state, self.moves, self.resources, self.deliveries).routes(),
                *PaymentsApi(self.state, self.resources).routes(),
                *notifications.routes(),
            ],
            exception_handlers={ApiError: _api_error, 404: _unknown_path},
        )

    def _control_app(self) -> Starlette:
        control = Control(self.state, self.lifecycle, self.moves, self.deliveries, self.resources)
        delivery = DeliveryControl(self.state, self.events, self.deliveries, self.tokens)
        return Starlette(
            routes=[
                *control.routes(),
                *delivery.routes(),
                faults_route(self.faults),
                Route("/_sim/reset", self._reset, methods=["POST"]),
            ],
            exception_handlers={**BAD_REQUESTS, KeyError: not_found, Refused: _too_much},
        )

    async def _reset(self, _: Request) -> Response:
        self.reset()
        return JSONResponse({})


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _unknown_path(_: Request, __: Exception) -> Response:
    return error_response(ApiError(404))


async def _too_much(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "more than the rest of the payment"}, 409)
