"""A host application that receives events: verifies them as Standard Webhooks says, remembers them,
and can be slow, down or wrong.

It shares no code with what it verifies. https://www.standardwebhooks.com/
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from simulators.control import BAD_REQUESTS, read_json

TOLERANCE = 300
"""Seconds between the timestamp and now: what the libraries of Standard Webhooks allow."""
LONGEST = 20_000
"""Bytes of a payload, as the specification recommends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How it answers. `delay` is in seconds, before the answer; a `dripping` one sends a byte a
    second; `size` is the length of the body. `times`: how often, None for ever.
    """

    status: int = 200
    delay: float = 0.0
    size: int = 0
    dripping: bool = False
    hangs_up: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    path: str
    id: str
    type: str
    organization_id: str | None
    data: Mapping[str, Any]
    verified: bool
    status: int
    at: float
    """By `time.time()`."""


class Receiver:
    """`secrets` are `whsec_…` or `whpk_…`, of any path; without any, nothing is verified."""

    def __init__(self, *secrets: str) -> None:
        self.url = ""
        self.secrets = list(secrets)
        self.received: list[Received] = []
        self.arrived = asyncio.Event()
        self._behaviours: dict[str, list[Behaviour]] = {}
        self._app = Starlette(
            routes=[
                Route("/_sim/counts", self._count, methods=["GET"]),
                Route("/_sim/received", self._list, methods=["GET"]),
                Route("/_sim/secrets", self._add_secret, methods=["POST"]),
                Route("/_sim/behaviours", self._script, methods=["POST", "DELETE"]),
                Route("/{path:path}", self._receive, methods=["POST"]),
            ],
            exception_handlers=BAD_REQUESTS,
        )

    @property
    def app(self) -> ASGIApp:
        return self._app

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def behave(self, where: str, *behaviours: Behaviour) -> None:
        """One after the other, and then as usual: at that path, or for events of that organization;
        `*` is everything else.
        """
        self._behaviours[where] = list(behaviours)

    def accepted(self, path: str | None = None) -> list[Received]:
        """What was verified and answered with 2xx, in order."""
        return [
            each
            for each in self.received
            if each.verified and each.status < 300 and path in (None, each.path)
        ]

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        document = _document(body)
        behaviour = self._next(document.get("organization_id"), request.url.path, "*")
        verified = self._verifies(request.headers, body)
        status = behaviour.status if verified else 400
        self.received.append(
            Received(
                path=request.url.path,
                id=request.headers.get("webhook-id", ""),
                type=str(document.get("type", "")),
                organization_id=document.get("organization_id"),
                data=document.get("data", {}),
                verified=verified,
                status=0 if behaviour.hangs_up else status,
                at=time.time(),
            )
        )
        self.arrived.set()
        if behaviour.delay:
            await asyncio.sleep(behaviour.delay)
        if behaviour.hangs_up:
            raise ConnectionAbortedError
        if behaviour.dripping:
            return StreamingResponse(_drip(), status, dict(behaviour.headers))
        return Response(b"x" * behaviour.size, status, dict(behaviour.headers))

    def _next(self, *places: str | None) -> Behaviour:
        scripted = next(
            (found for place in places if (found := self._behaviours.get(place or ""))), None
        )
        if scripted is None:
            return Behaviour()
        first = scripted[0]
        if first.times is not None:
            left = first.times - 1
            scripted[:1] = [replace(first, times=left)] if left else []
        return first

    def _verifies(self, headers: Mapping[str, str], body: bytes) -> bool:
        if not self.secrets:
            return True
        if len(body) > LONGEST:
            return False
        id_, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
            return False
        content = f"{id_}.{timestamp}.".encode() + body
        signatures = headers.get("webhook-signature", "").split(" ")
        return any(
            _is_signature(signature, secret, content)
            for signature in signatures
            for secret in self.secrets
        )

    async def _count(self, _: Request) -> Response:
        return JSONResponse({"received": len(self.received), "accepted": len(self.accepted())})

    async def _list(self, _: Request) -> Response:
        rows = [asdict(each) for each in self.received]
        return JSONResponse({"received": rows})

    async def _add_secret(self, request: Request) -> Response:
        self.secrets.append(str((await read_json(request))["secret"]))
        return JSONResponse({})

    async def _script(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._behaviours.clear()
            return JSONResponse({})
        about = await read_json(request)
        path = str(about.pop("path", "*"))
        self._behaviours.setdefault(path, []).append(Behaviour(**about))
        return JSONResponse({})


def _is_signature(signature: str, secret: str, content: bytes) -> bool:
    version, _, encoded = signature.partition(",")
    kind, _, key = secret.partition("_")
    given, raw = base64.b64decode(encoded), base64.b64decode(key)
    if (version, kind) == ("v1", "whsec"):
        return hmac.compare_digest(hmac.digest(raw, content, hashlib.sha256), given)
    if (version, kind) == ("v1a", "whpk"):
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(given, content)
        except InvalidSignature:
            return False
        return True
    return False


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(1)
