"""OAuth 2 client credentials: access tokens with a configurable expiry."""

import time
from base64 import b64decode
from dataclasses import dataclass, field
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulators.paypal.errors import ApiError


@dataclass(slots=True)
class Tokens:
    """`fetches` counts the issued tokens."""

    client_id: str
    client_secret: str
    expires_in: int = 31_349
    fetches: int = 0
    valid_until: dict[str, float] = field(default_factory=dict)

    async def issue(self, request: Request) -> Response:
        form = await request.form()
        if not self._is_client(request.headers.get("authorization", "")):
            text = "Client Authentication failed"
            return JSONResponse({"error": "invalid_client", "error_description": text}, 401)
        if form.get("grant_type") != "client_credentials":
            text = "Grant Type is NULL or not supported"
            return JSONResponse({"error": "unsupported_grant_type", "error_description": text}, 400)
        token = f"A21AA{uuid4().hex}{uuid4().hex}"
        self.fetches += 1
        self.valid_until[token] = time.monotonic() + self.expires_in
        return JSONResponse(
            {
                "scope": "https://uri.paypal.com/services/subscriptions",
                "access_token": token,
                "token_type": "Bearer",
                "app_id": "APP-80W284485P519543T",
                "expires_in": self.expires_in,
                "nonce": f"2026-01-01T00:00:00Z{uuid4().hex}",
            }
        )

    def check(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self.valid_until.get(token, 0.0) < time.monotonic():
            raise ApiError(401)

    def expire_all(self) -> None:
        self.valid_until.clear()

    def _is_client(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = b64decode(encoded, validate=True).decode()
        except ValueError:
            return False
        return scheme.lower() == "basic" and given == f"{self.client_id}:{self.client_secret}"
