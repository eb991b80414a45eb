"""The Stripe simulator: its API, its control plane, and the webhooks that it sends."""

import hashlib
import hmac
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulators.control import BAD_REQUESTS, bad_request, faults_route, not_found
from simulators.faults import Faults, FaultyApp, read_body
from simulators.stripe.api import Api
from simulators.stripe.checkouts import Checkouts
from simulators.stripe.control import Control
from simulators.stripe.deliveries import Deliveries
from simulators.stripe.errors import ApiError, error_response, fault_body
from simulators.stripe.events import Events
from simulators.stripe.invoices import Impossible
from simulators.stripe.lifecycle import Lifecycle
from simulators.stripe.money import MoneyMoves
from simulators.stripe.renewals import Renewals
from simulators.stripe.state import API_VERSION, State

API_KEY = "sk_test_simulated"
WEBHOOK_SECRET = "whsec_simulated"
_LONGEST_KEY = 255
_DECLINED = 402
_Kept = tuple[bytes, int, list[tuple[bytes, bytes]], bytes]


class StripeSimulator:
    """Serve it with `simulators.serving.serve`; state, deliveries, lifecycle, moves and faults may
    be used directly.
    """

    def __init__(
        self,
        *,
        api_key: str = API_KEY,
        webhook_secrets: Sequence[str] = (WEBHOOK_SECRET,),
        webhook_url: str | None = None,
        seed: int = 0,
    ) -> None:
        self.api_key = api_key
        self.state = State(seed)
        self.faults = Faults()
        self.events = Events(self.state)
        self.deliveries = Deliveries(self.state, webhook_secrets)
        self.lifecycle = Lifecycle(self.state, self.events)
        self.renewals = Renewals(self.state, self.lifecycle)
        self.checkouts = Checkouts(self.state, self.events, self.lifecycle)
        self.moves = MoneyMoves(self.state, self.events)
        self.api = Api(
            self.state, self.events, self.lifecycle, self.checkouts, self.moves, self.deliveries
        )
        if webhook_url is not None:
            self.deliveries.register(webhook_url)
        self._answers: dict[str, _Kept] = {}
        self._api, self._control = self._api_app(), self._control_app()
        self._app = FaultyApp(self._answer, self.faults, fault_body)

    @property
    def url(self) -> str:
        return self.api.url

    @url.setter
    def url(self, value: str) -> None:
        self.api.url = value

    @property
    def app(self) -> ASGIApp:
        return self._app

    async def start(self) -> None:
        self.deliveries.start()

    async def stop(self) -> None:
        await self.deliveries.stop()

    def reset(self) -> None:
        """Reset everything except credentials and registered webhooks."""
        self.state.reset()
        self.lifecycle.declines.clear()
        self.events.all.clear()
        self.deliveries.reset()
        self.faults.clear()
        self._answers.clear()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/_sim/"):
            await self._control(scope, receive, send)
            return
        call = f"{scope['method']} {scope['path']}"
        self.state.calls[call] = self.state.calls.get(call, 0) + 1
        request = Request(scope)
        refused = self._refusal(request)
        if refused is not None:
            await error_response(refused)(scope, receive, send)
            return
        key = request.headers.get("idempotency-key")
        if scope["method"] == "GET" or key is None:
            await self._api(scope, receive, send)
            return
        await self._once(key, scope, receive, send)

    def _refusal(self, request: Request) -> ApiError | None:
        if not hmac.compare_digest(
            request.headers.get("authorization", ""), f"Bearer {self.api_key}"
        ):
            return ApiError(401, "Invalid API Key provided")
        if request.headers.get("stripe-version", API_VERSION) != API_VERSION:
            return ApiError(400, f"Invalid Stripe API version: this simulator speaks {API_VERSION}")
        return None

    async def _once(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        """The first response to a key is replayed, even a decline; the refusal of an invalid
        request is not stored.
        """
        body = await read_body(receive)
        if len(key) > _LONGEST_KEY:
            too_long = ApiError(400, f"Idempotency keys have at most {_LONGEST_KEY} characters.")
            await error_response(too_long)(scope, receive, send)
            return
        fingerprint = hashlib.sha256(f"{scope['method']} {scope['path']} ".encode() + body).digest()
        kept = self._answers.get(key)
        if kept is not None and kept[0] != fingerprint:
            reused = ApiError(
                400,
                "Keys for idempotent requests can only be used with the same parameters.",
                kind="idempotency_error",
            )
            await error_response(reused)(scope, receive, send)
            return
        if kept is None:
            kept = await self._run(fingerprint, scope, body)
            if kept[1] < 400 or kept[1] == _DECLINED:
                self._answers[key] = kept
        else:
            kept = (kept[0], kept[1], [*kept[2], (b"idempotent-replayed", b"true")], kept[3])
        await send({"type": "http.response.start", "status": kept[1], "headers": kept[2]})
        await send({"type": "http.response.body", "body": kept[3]})

    async def _run(self, fingerprint: bytes, scope: Scope, body: bytes) -> _Kept:
        status, headers, answer = 500, [], b""

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            nonlocal status, headers, answer
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            else:
                answer += message.get("body", b"")

        await self._api(scope, replay, keep)
        return fingerprint, status, headers, answer

    def _api_app(self) -> Starlette:
        return Starlette(
            routes=self.api.routes(), exception_handlers={ApiError: _api_error, 404: _unknown_path}
        )

    def _control_app(self) -> Starlette:
        control = Control(
            self.state, self.events, self.lifecycle, self.checkouts, self.moves, self.deliveries
        )
        return Starlette(
            routes=[
                *control.routes(),
                faults_route(self.faults),
                Route("/_sim/reset", self._reset, methods=["POST"]),
            ],
            exception_handlers={**BAD_REQUESTS, KeyError: not_found, Impossible: bad_request},
        )

    async def _reset(self, _: Request) -> Response:
        self.reset()
        return JSONResponse({})


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _unknown_path(request: Request, _: Exception) -> Response:
    return error_response(
        ApiError(404, f"Unrecognized request URL ({request.method}: {request.url.path})")
    )
