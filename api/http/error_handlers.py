"""The table that maps each error to a problem, and the handlers that respond with it."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.http.errors import INVALID_VALUE, FieldError, Kind, Problem, response
from db.campaigns.campaigns import DifferentRequest
from db.campaigns.resends import CampaignCanceled, Confirmed, NotLost
from db.campaigns.reservations import DifferentMessage
from db.campaigns.unpaid_sends import NothingUnpaid
from db.idempotency_keys import KeyReused
from db.lifecycle.organizations import AccountTaken
from db.operations.bulk_acts import NotConfirmed
from db.operations.delivery_acts import NotRetried
from db.operations.goodwill import AlreadyRefunded, NotFinal
from db.operations.step_retries import NothingStuck
from domain.money import BadAmount
from domain.wallet.holds import BadExpiry, CaptureTooLarge, HoldClosed, HoldConflict, HoldNotFound
from domain.wallet.ledger import (
    Conflict,
    Frozen,
    InsufficientFunds,
    NothingToRefund,
    Suspended,
    TooLarge,
    WalletNotFound,
    WrongCurrency,
)
from providers.errors import (
    AlreadyTerminal,
    InvalidSignature,
    NotAccepted,
    NotFound,
    ProviderRefused,
    ProviderUnavailable,
    VerificationUnavailable,
    WrongState,
)
from runtime.coalescer import Overloaded, Unanswered

log = structlog.get_logger()
_OF_PYTHON = {
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dataclass_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be a list",
    "time_delta_parsing": "must be a number of seconds, or a duration such as P3D",
    "time_delta_type": "must be a number of seconds, or a duration such as P3D",
}
_FIELD_CODES = {
    "missing": "missing",
    "extra_forbidden": "unknown_field",
    "enum": "not_an_option",
    "literal_error": "not_an_option",
    "string_pattern_mismatch": "wrong_format",
    "too_long": "too_long",
    "string_too_long": "too_long",
    "too_short": "too_short",
    "string_too_short": "too_short",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
}
"""A field's code by the library's code, which may change; `_type` and `_parsing` become
`wrong_type`.
"""
_FORMS = ("one", "list")
"""If a body has two forms, a field's location begins with the recognized form."""


TABLE: Mapping[type, Kind] = {
    # expected results of the domain
    InsufficientFunds: Kind.INSUFFICIENT_FUNDS,
    Frozen: Kind.FROZEN,
    Suspended: Kind.SUSPENDED,
    WalletNotFound: Kind.ORGANIZATION_NOT_FOUND,
    Conflict: Kind.REFERENCE_REUSED,
    WrongCurrency: Kind.INVALID,
    NothingToRefund: Kind.NOTHING_TO_REFUND,
    TooLarge: Kind.INVALID,
    HoldNotFound: Kind.HOLD_NOT_FOUND,
    HoldConflict: Kind.REFERENCE_REUSED,
    HoldClosed: Kind.HOLD_CLOSED,
    CaptureTooLarge: Kind.INVALID,
    BadExpiry: Kind.INVALID,
    # broken promises
    BadAmount: Kind.INVALID,
    KeyReused: Kind.IDEMPOTENCY_KEY_REUSED,
    DifferentRequest: Kind.IDEMPOTENCY_KEY_REUSED,
    DifferentMessage: Kind.IDEMPOTENCY_KEY_REUSED,
    CampaignCanceled: Kind.CAMPAIGN_CANCELED,
    NotLost: Kind.MESSAGE_NOT_LOST,
    Confirmed: Kind.MESSAGE_NOT_UNCONFIRMED,
    AlreadyRefunded: Kind.MESSAGE_ALREADY_REFUNDED,
    NotFinal: Kind.MESSAGE_NOT_FINAL,
    NotRetried: Kind.DELIVERY_NOT_RETRYABLE,
    NothingStuck: Kind.NOTHING_STUCK,
    NotConfirmed: Kind.BULK_ACT_NOT_CONFIRMED,
    NothingUnpaid: Kind.MESSAGE_NOT_UNPAID,
    AccountTaken: Kind.TWILIO_ACCOUNT_TAKEN,
    InvalidSignature: Kind.INVALID_SIGNATURE,
    VerificationUnavailable: Kind.SIGNATURE_UNVERIFIABLE,
    ProviderUnavailable: Kind.PROVIDER_UNAVAILABLE,
    NotAccepted: Kind.NOT_ACCEPTED_BY_PROVIDER,
    NotFound: Kind.PROVIDER_OBJECT_MISSING,
    AlreadyTerminal: Kind.PROVIDER_OBJECT_ENDED,
    WrongState: Kind.PROVIDER_STATE_CONFLICT,
    ProviderRefused: Kind.PROVIDER_REFUSED,
    OperationalError: Kind.DATABASE_UNAVAILABLE,
    InterfaceError: Kind.DATABASE_UNAVAILABLE,
    NoConnectionFree: Kind.DATABASE_UNAVAILABLE,
    Unanswered: Kind.OUTCOME_UNKNOWN,
    Overloaded: Kind.OVERLOADED,
}


def install(app: FastAPI) -> None:
    for error in (*_EXCEPTIONS, RequestValidationError, HTTPException):
        app.add_exception_handler(error, _answer)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    problem = as_problem(error)
    if problem.kind is Kind.METHOD_NOT_ALLOWED:
        problem.headers = {"Allow": request.app.methods.allow(request.url.path)}
    return response(problem, request)


def as_problem(error: Exception) -> Problem:
    """The problem for any exception; an unknown one is a bug, and its details are hidden."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _validation(error)
        case HTTPException():
            return _framework(error)
        case ClientDisconnect():
            return Problem(Kind.BODY_INCOMPLETE)
    kind = next((TABLE[type_] for type_ in type(error).__mro__ if type_ in TABLE), Kind.INTERNAL)
    if kind in (Kind.DATABASE_UNAVAILABLE, Kind.OUTCOME_UNKNOWN):
        log.error("database_unavailable", problem=_first_line(error))
        return Problem(kind)
    if kind is Kind.OVERLOADED:
        return Problem(kind)
    if kind is Kind.INTERNAL:
        log.error("unexpected_error", exc_info=error)
        return Problem(kind)
    if kind in (Kind.PROVIDER_UNAVAILABLE, Kind.PROVIDER_REFUSED):
        log.warning("provider_failed", problem=_first_line(error))
    return Problem(kind, _first_line(error))


def _validation(failure: RequestValidationError) -> Problem:
    found = failure.errors()
    if any(error["type"] == "json_invalid" for error in found):
        return Problem(Kind.BODY_NOT_JSON)
    errors = [_field_error(error) for error in found[:100]]
    detail = "; ".join(f"{error.field}: {error.message}" for error in errors[:3])
    return Problem(Kind.INVALID, detail, errors=errors)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    """A library's message in JSON's terms: not every caller uses Python."""
    type_ = error["type"]
    message = _OF_PYTHON.get(type_) or str(error["msg"]).removeprefix("Value error, ")
    code = _FIELD_CODES.get(type_, INVALID_VALUE)
    if type_.endswith(("_type", "_parsing")):
        code = "wrong_type"
    return FieldError(_field(error["loc"]), message, code)


def _field(loc: Sequence[int | str]) -> str:
    where, *path = loc
    if where == "header":
        return "-".join(word.capitalize() for word in str(path[-1]).split("-"))
    if path and path[0] in _FORMS:
        path = path[1:]
    return ".".join(str(part) for part in path) or str(where)


def _framework(error: HTTPException) -> Problem:
    kind = {404: Kind.PATH_NOT_FOUND, 405: Kind.METHOD_NOT_ALLOWED}.get(
        error.status_code, Kind.MALFORMED_REQUEST
    )
    return Problem(kind, headers=error.headers)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


_EXCEPTIONS = tuple(type_ for type_ in TABLE if issubclass(type_, Exception))
