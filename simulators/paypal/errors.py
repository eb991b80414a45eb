"""PayPal's error bodies: a name, a debug id, and the issues that a client branches on."""

import json
import uuid
from typing import Any

from starlette.responses import JSONResponse

_NAMES = {
    400: (
        "INVALID_REQUEST",
        "Request is not well-formed, syntactically incorrect, or violates schema.",
    ),
    401: ("AUTHENTICATION_FAILURE", "Authentication failed due to missing or invalid credentials."),
    403: ("NOT_AUTHORIZED", "Authorization failed due to insufficient permissions."),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    422: ("UNPROCESSABLE_ENTITY", "The requested action could not be performed."),
    429: ("RATE_LIMIT_REACHED", "Too many requests. Blocked due to rate limiting."),
    500: ("INTERNAL_SERVER_ERROR", "An internal server error occurred."),
    503: ("SERVICE_UNAVAILABLE", "Service unavailable."),
}
_DESCRIPTIONS = {
    "INVALID_RESOURCE_ID": "Requested resource ID was not found.",
    "SUBSCRIPTION_STATUS_INVALID": "Invalid subscription status for this action.",
    "SUBSCRIPTION_CANNOT_BE_ACTIVATED": "Subscription cannot be activated after payment failure threshold has reached.",
    "ZERO_OUTSTANDING_BALANCE": "Current outstanding balance should be greater than zero.",
    "AMOUNT_GREATER_THAN_OUTSTANDING_BALANCE": "Amount can not be greater than the outstanding balance.",
    "CURRENCY_MISMATCH": "The currency code is different from the subscription's currency code.",
    "MISSING_REQUIRED_PARAMETER": "A required field is missing.",
}


class ApiError(Exception):
    def __init__(self, status: int, issue: str | None = None, **detail: str) -> None:
        super().__init__(f"{status} {issue}")
        self.status = status
        self.issue = issue
        self.detail = detail


def error_json(status: int, issue: str | None = None, **detail: str) -> dict[str, Any]:
    name, message = _NAMES[status]
    body: dict[str, Any] = {
        "name": name,
        "message": message,
        "debug_id": uuid.uuid4().hex[:13],
        "links": [],
    }
    if issue is not None:
        body["details"] = [
            {"issue": issue, "description": _DESCRIPTIONS.get(issue, issue), **detail}
        ]
    return body


def error_response(error: ApiError) -> JSONResponse:
    body = error_json(error.status, error.issue, **error.detail)
    return JSONResponse(body, error.status, {"PayPal-Debug-Id": body["debug_id"]})


def fault_body(status: int) -> bytes:
    return json.dumps(error_json(status)).encode()
