"""Routes on the hot path: FastAPI describes them, but they are served without its overhead, which
exceeds the work itself. The recipe is fixed: an API key, an organization's id, a JSON body, an
optional Idempotency-Key.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from inspect import signature
from typing import Any, get_type_hints

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from api.context import Context, checked_key, checked_organization_id
from api.http.errors import Kind, Problem
from api.http.methods import Methods
from api.http.queries import refuse_unknown


class FastRoute(APIRoute):
    """Its endpoint takes `(organization_id, body, here, response, key)`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        _check(endpoint, ("organization_id", "body", "here", "response", "key"))
        super().__init__(path, endpoint, **options)

    @cached_property
    def body(self) -> TypeAdapter[Any]:
        return TypeAdapter(get_type_hints(self.endpoint, include_extras=True)["body"])

    def get_route_handler(self) -> Callable[[Request], Any]:
        return self.serve

    async def serve(self, request: Request) -> Response:
        here: Context = request.app.state.context
        for needs in self.dependencies:
            await needs.dependency(request.scope["state"]["caller"])  # type: ignore[misc]
        if request.scope["query_string"]:
            await refuse_unknown(request)
        organization_id = checked_organization_id(request.path_params["organization_id"])
        key = checked_key(request.headers.get("idempotency-key"))
        try:
            body = self.body.validate_python(_json(await _read(request)))
        except ValidationError as problem:
            raise RequestValidationError(
                [{**error, "loc": ("body", *error["loc"])} for error in problem.errors()]
            ) from problem
        response = _Json(status_code=self.status_code or 200)
        answer: BaseModel = await self.endpoint(organization_id, body, here, response, key)
        response.body = answer.model_dump_json().encode()
        response.raw_headers.append((b"content-length", str(len(response.body)).encode()))
        return response


class _Json(Response):
    """A response that gets its body last."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        assert headers is None
        self.raw_headers = [(b"content-type", b"application/json")]


class BareRoute(APIRoute):
    """Its endpoint takes `(request, here)`, reads what it needs and returns its own response."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        _check(endpoint, ("request", "here"))
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Any]:
        return self.serve

    async def serve(self, request: Request) -> Response:
        answer: Response = await self.endpoint(request, request.app.state.context)
        return answer


def _check(endpoint: Callable[..., Any], names: tuple[str, ...]) -> None:
    """Checked at import: parameters are passed by position, and a wrong one would only fail at the
    first request.
    """
    parameters = tuple(signature(endpoint).parameters)
    if parameters != names:
        raise TypeError(
            f"{endpoint.__module__}.{endpoint.__qualname__} takes ({', '.join(parameters)}),"
            f" and its route calls it with ({', '.join(names)})"
        )


async def _read(request: Request) -> bytes:
    """The same as `request.body()`, which goes through a generator."""
    received: bytes = b""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        received += message.get("body", b"")
        if not message.get("more_body", False):
            return received


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as problem:
        raise Problem(Kind.BODY_NOT_JSON) from problem


class Application(FastAPI):
    """An application that serves its fast routes first, without the framework's layers; `around`
    wraps each.
    """

    def serve_directly(
        self,
        routers: Sequence[APIRouter],
        *,
        first: Sequence[APIRouter],
        around: Callable[[ASGIApp], ASGIApp],
    ) -> None:
        """Serve the fast routes of `first` directly. `routers` are all that are included, these
        among them, so that they are described, and that a path's methods are known.
        """
        routes = [
            route
            for router in first
            for route in router.routes
            if isinstance(route, FastRoute | BareRoute)
        ]
        self._found_first = [
            (re.compile(route.path_regex.pattern), route, around(_served(route)))
            for route in routes
        ]
        self.methods = Methods(
            [*self.router.routes, *(route for router in routers for route in router.routes)]
        )
        self._to_options = around(self.methods.answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["method"] == "HEAD":  # a GET without its body, which the server omits
                scope = {**scope, "method": "GET"}
            elif scope["method"] == "OPTIONS" and self.methods.of(scope["path"]):
                await self._to_options({**scope, "app": self}, receive, send)
                return
            for pattern, route, serve in self._found_first:
                if scope["method"] in (route.methods or ()) and (
                    found := pattern.fullmatch(scope["path"])
                ):
                    scope.update(app=self, route=route, path_params=found.groupdict())
                    await serve(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)


def _served(route: FastRoute | BareRoute) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await route.serve(Request(scope, receive))
        await answer(scope, receive, send)

    return serve
