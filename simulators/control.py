"""The common part of the control planes: reading JSON, refusing bad requests, scripting request
faults.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.faults import Faults


async def read_json(request: Request) -> dict[str, Any]:
    """A missing body counts as an empty object."""
    body = await request.body()
    value = await request.json() if body else {}
    if not isinstance(value, dict):
        raise TypeError("a JSON object is expected")
    return value


async def bad_request(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)


BAD_REQUESTS: dict[Any, Any] = {
    ValueError: bad_request,
    TypeError: bad_request,
    ArithmeticError: bad_request,
}


async def not_found(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"no object with this id or name: {error}"}, 404)


def faults_route(faults: Faults) -> Route:
    async def script(request: Request) -> Response:
        if request.method == "POST":
            faults.add(**await read_json(request))
        elif request.method == "DELETE":
            faults.clear()
        return JSONResponse({"faults": [each.to_json() for each in faults.standing]})

    return Route("/_sim/faults", script, methods=["GET", "POST", "DELETE"])
