"""Decrypts payloads for the Temporal UI and CLI, in the browser's or the operator's own request.

https://docs.temporal.io/production-deployment/data-encryption has the protocol.
"""

import hmac
from collections.abc import Awaitable, Callable, Sequence

from fastapi import FastAPI, Request, Response
from google.protobuf import json_format
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from runtime.payload_codec import UndecodablePayload

Step = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]
LOOPBACK_NAMES = ["localhost", "127.0.0.1"]
_UI_HEADERS = ["content-type", "x-namespace", "authorization"]


def create_codec_app(codec: PayloadCodec, *, origins: Sequence[str], token: str | None) -> FastAPI:
    """`origins` are those of the Temporal UI. Without a token it answers only as this machine."""
    app = FastAPI(title="Tollgate's codec server", openapi_url=None)

    async def answer(request: Request, step: Step) -> Response:
        if token is not None and not _bears(request, token):
            return Response("a bearer token is needed", status_code=401)
        try:
            payloads = json_format.Parse(await request.body(), Payloads()).payloads
            changed = Payloads(payloads=await step(payloads))
        except (json_format.ParseError, UnicodeDecodeError):
            return Response("the body is not a list of payloads", status_code=400)
        except UndecodablePayload as problem:
            return Response(str(problem), status_code=400)
        return Response(json_format.MessageToJson(changed), media_type="application/json")

    @app.post("/encode")
    async def encode(request: Request) -> Response:
        return await answer(request, codec.encode)

    @app.post("/decode")
    async def decode(request: Request) -> Response:
        return await answer(request, codec.decode)

    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["POST"],
        allow_headers=_UI_HEADERS,
        allow_credentials=True,
    )
    if token is None:  # a page elsewhere whose name leads to this machine must not read payloads
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_NAMES)
    return app


def _bears(request: Request, token: str) -> bool:
    sent = request.headers.get("authorization", "").encode()
    return hmac.compare_digest(sent, f"Bearer {token}".encode())
