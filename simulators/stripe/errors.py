"""Stripe's error bodies."""

import json
from typing import Any

from starlette.responses import JSONResponse


class ApiError(Exception):
    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code


def no_such(what: str, id_: str) -> ApiError:
    return ApiError(404, f"No such {what}: '{id_}'", code="resource_missing")


def error_json(error: ApiError) -> dict[str, Any]:
    error_object: dict[str, Any] = {"message": str(error), "type": error.kind}
    return {"error": error_object if error.code is None else error_object | {"code": error.code}}


def error_response(error: ApiError) -> JSONResponse:
    return JSONResponse(error_json(error), error.status, {"Request-Id": "req_simulated"})


def fault_body(status: int) -> bytes:
    kind = "api_error" if status >= 500 else "invalid_request_error"
    code = "rate_limit" if status == 429 else None
    return json.dumps(
        error_json(ApiError(status, "Something went wrong on our end.", kind=kind, code=code))
    ).encode()
