"""The one table that says which error is which problem, and the handlers that answer with it."""

from collections.abc import Mapping, Sequence

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.http.errors import Kind, Problem, response
from db.campaigns.campaigns import DifferentRequest
from db.campaigns.resends import Confirmed, NotLost
from db.campaigns.reservations import DifferentMessage
from db.campaigns.unpaid_sends import NothingUnpaid
from db.lifecycle.organizations import AccountTaken
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
_FORMS = ("one", "list")
"""Where a body has two forms, a field's place begins with the form that was recognized."""


TABLE: Mapping[type, Kind] = {
    # answers of the domain
    InsufficientFunds: Kind.INSUFFICIENT_FUNDS,
    Frozen: Kind.FROZEN,
    Suspended: Kind.SUSPENDED,
    WalletNotFound: Kind.NOT_FOUND,
    Conflict: Kind.CONFLICT,
    WrongCurrency: Kind.INVALID,
    NothingToRefund: Kind.INVALID,
    TooLarge: Kind.INVALID,
    HoldNotFound: Kind.NOT_FOUND,
    HoldConflict: Kind.CONFLICT,
    HoldClosed: Kind.WRONG_STATE,
    CaptureTooLarge: Kind.INVALID,
    BadExpiry: Kind.INVALID,
    # broken promises
    BadAmount: Kind.INVALID,
    DifferentRequest: Kind.CONFLICT,
    DifferentMessage: Kind.CONFLICT,
    NotLost: Kind.WRONG_STATE,
    Confirmed: Kind.WRONG_STATE,
    NothingUnpaid: Kind.WRONG_STATE,
    AccountTaken: Kind.TAKEN,
    InvalidSignature: Kind.INVALID_SIGNATURE,
    VerificationUnavailable: Kind.UNVERIFIABLE,
    ProviderUnavailable: Kind.PROVIDER_UNAVAILABLE,
    NotAccepted: Kind.INVALID,
    NotFound: Kind.WRONG_STATE,  # what we know by that id is not there any more
    WrongState: Kind.WRONG_STATE,
    ProviderRefused: Kind.PROVIDER_REFUSED,
    OperationalError: Kind.UNAVAILABLE,
    InterfaceError: Kind.UNAVAILABLE,
    NoConnectionFree: Kind.UNAVAILABLE,
    Unanswered: Kind.UNANSWERED,
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
    """The problem for any exception; one that the table does not know is our mistake, and says
    nothing of itself.
    """
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _validation(error)
        case HTTPException():
            return _framework(error)
        case ClientDisconnect():
            return Problem(Kind.MALFORMED, "the request ended before its body did")
    kind = next((TABLE[type_] for type_ in type(error).__mro__ if type_ in TABLE), Kind.INTERNAL)
    if kind in (Kind.UNAVAILABLE, Kind.UNANSWERED):
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


def _validation(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return Problem(Kind.MALFORMED, "the body is not JSON")
    errors = [(_field(one["loc"]), _in_words(one["type"], str(one["msg"]))) for one in found[:100]]
    return Problem(
        Kind.INVALID,
        "; ".join(f"{field}: {message}" for field, message in errors[:3]),
        errors=errors,
    )


def _in_words(kind: str, message: str) -> str:
    """A library's message in the words of JSON: not every caller writes Python."""
    if kind in _OF_PYTHON:
        return _OF_PYTHON[kind]
    return message.removeprefix("Value error, ")


def _field(loc: Sequence[int | str]) -> str:
    where, *path = loc
    if where == "header":
        return "-".join(word.capitalize() for word in str(path[-1]).split("-"))
    if path and path[0] in _FORMS:
        path = path[1:]
    return ".".join(str(part) for part in path) or str(where)


def _framework(error: HTTPException) -> Problem:
    kind = {404: Kind.NOT_FOUND, 405: Kind.METHOD_NOT_ALLOWED}.get(
        error.status_code, Kind.MALFORMED
    )
    return Problem(kind, headers=error.headers)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


_EXCEPTIONS = tuple(type_ for type_ in TABLE if issubclass(type_, Exception))
