"""PayPal's part of the control plane of webhook delivery: certificates, access tokens, the clock."""

from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators import delivery_control
from simulators.control import read_json
from simulators.paypal.certificate import Kind
from simulators.paypal.control import at_of
from simulators.paypal.deliveries import Deliveries
from simulators.paypal.events import Events
from simulators.paypal.state import State
from simulators.paypal.tokens import Tokens


class DeliveryControl(delivery_control.DeliveryControl):
    def __init__(
        self, state: State, events: Events, deliveries: Deliveries, tokens: Tokens
    ) -> None:
        super().__init__(events, deliveries)
        self.state = state
        self.events = events
        self.deliveries = deliveries
        self.tokens = tokens

    def routes(self) -> list[Route]:
        post = ["POST"]
        return [
            *super().routes(),
            Route("/_sim/ca", self.authority),
            Route("/_sim/certificate", self.choose_certificate, methods=post),
            Route("/_sim/tokens", self.change_tokens, methods=["PATCH"]),
            Route("/_sim/tokens/expire", self.expire_tokens, methods=post),
            Route("/_sim/clock", self.set_clock, methods=post),
            Route("/_sim/counts", self.counts),
        ]

    def signed(self, raw: bytes, body: dict[str, Any]) -> dict[str, Any]:
        webhook_id = body.get("webhook_id") or next(iter(self.deliveries.webhooks))
        headers = self.deliveries.signed_headers(
            raw,
            webhook_id,
            at=at_of(body),
            certificate=Kind(body["certificate"]) if "certificate" in body else None,
            transmission_id=body.get("transmission_id"),
        )
        return {"headers": headers, "webhook_id": webhook_id}

    async def authority(self, _: Request) -> Response:
        return Response(self.deliveries.authority.pem, media_type="application/x-pem-file")

    async def choose_certificate(self, request: Request) -> Response:
        """Select the certificate that signs from now on: good, expired, wrong_name, other_ca."""
        self.deliveries.certificate = Kind((await read_json(request))["kind"])
        return JSONResponse({"kind": self.deliveries.certificate.value})

    async def change_tokens(self, request: Request) -> Response:
        self.tokens.expires_in = int((await read_json(request))["expires_in"])
        return JSONResponse({"expires_in": self.tokens.expires_in})

    async def expire_tokens(self, _: Request) -> Response:
        self.tokens.expire_all()
        return JSONResponse({"fetches": self.tokens.fetches})

    async def set_clock(self, request: Request) -> Response:
        """Add the offset to every time in the simulator's responses and events."""
        self.state.clock_offset = timedelta(
            seconds=float((await read_json(request))["offset_seconds"])
        )
        return JSONResponse({"now": self.state.now().isoformat()})

    async def counts(self, _: Request) -> Response:
        return JSONResponse(
            {
                "token_fetches": self.tokens.fetches,
                "calls": self.state.calls,
                "subscriptions": len(self.state.subscriptions),
                "events": len(self.events.all),
                "deliveries": self.statuses(),
            }
        )
