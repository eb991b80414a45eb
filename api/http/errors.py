"""Errors as problem documents (RFC 9457), and the one table that says which error is which status.

An answer never holds a stack trace or what a library had to say about our inside.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from db.campaigns.campaigns import DifferentRequest
from db.campaigns.resends import Confirmed, NotLost
from db.campaigns.reservations import DifferentMessage
from db.campaigns.unpaid_sends import NothingUnpaid
from db.lifecycle.organizations import AccountTaken
from domain.audit.can_send import Reason
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
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "2"
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


class Kind(Enum):
    """What can be wrong: the status and the title. Its name in lower case is the last part of the
    problem's `type`.
    """

    MALFORMED = 400, "The request cannot be read"
    INVALID_SIGNATURE = 400, "The signature is wrong"
    UNAUTHENTICATED = 401, "A valid API key is needed"
    INSUFFICIENT_FUNDS = 402, "The wallet does not hold enough"
    FORBIDDEN = 403, "The API key's scope is too narrow"
    UNKNOWN_ACCOUNT = 403, "The account is not one of ours"
    NOT_FOUND = 404, "There is no such thing"
    METHOD_NOT_ALLOWED = 405, "This method is not served here"
    TOO_SLOW = 408, "The request did not come in time"
    CONFLICT = 409, "It was asked before with other content"
    TAKEN = 409, "It belongs to another organization"
    WRONG_STATE = 409, "Its state does not allow that"
    MAY_NOT_SEND = 409, "The organization may not send"
    BODY_TOO_LARGE = 413, "The body is too large"
    UNSUPPORTED = 415, "The content type is not taken here"
    INVALID = 422, "A field is not right"
    SUSPENDED = 423, "The organization is suspended"
    FROZEN = 423, "The wallet is frozen"
    HEAD_TOO_LARGE = 431, "The request line and the headers are too large"
    INTERNAL = 500, "Something went wrong here"
    PROVIDER_REFUSED = 502, "The provider refused what Tollgate asked of it"
    PROVIDER_UNAVAILABLE = 503, "The provider does not answer"
    UNVERIFIABLE = 503, "The signature cannot be checked now"
    UNAVAILABLE = 503, "The database does not answer"
    UNANSWERED = 503, "Whether it was done is not known; ask again with the same reference"
    OVERLOADED = 503, "Too much waits already; nothing was done"

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def title(self) -> str:
        return self.value[1]


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


class FieldProblem(BaseModel):
    field: str = Field(examples=["amount"])
    message: str = Field(examples=["an amount has at most six decimals"])


class ReasonOut(BaseModel):
    """Why an organization may not send: a word for machines and a sentence for people."""

    code: str = Field(examples=["nonpayment"])
    text: str = Field(examples=["the subscription is not paid"])


class ProblemOut(BaseModel):
    """A problem document (RFC 9457). `errors` names fields, `reasons` says why a send was
    refused.
    """

    model_config = ConfigDict(title="Problem")

    type: str = Field(examples=["urn:tollgate:problem:invalid"])
    title: str = Field(examples=["A field is not right"])
    status: int = Field(examples=[422])
    detail: str | None = None
    errors: list[FieldProblem] | None = None
    reasons: list[ReasonOut] | None = None
    request_id: str | None = None


class Problem(HTTPException):
    """Raise it anywhere in a request; `extra` are further members of the document."""

    def __init__(
        self,
        kind: Kind,
        detail: str | None = None,
        *,
        errors: Sequence[tuple[str, str]] = (),
        reasons: Sequence[Reason] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(kind.status, detail or kind.title, dict(headers or {}))
        self.kind = kind
        self.document = _document(kind, detail, errors=errors, reasons=reasons) | extra


def invalid(field: str, message: str) -> Problem:
    return Problem(Kind.INVALID, f"{field}: {message}", errors=[(field, message)])


def not_found(what: str) -> Problem:
    return Problem(Kind.NOT_FOUND, f"there is no such {what}")


def response(problem: Problem, request: Request) -> JSONResponse:
    headers = dict(problem.headers or {})
    if problem.status_code == 503:
        headers.setdefault("Retry-After", RETRY_AFTER)
    document = problem.document | {"request_id": getattr(request.state, "request_id", None)}
    return JSONResponse(document, problem.status_code, headers, media_type=MEDIA_TYPE)


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


def _document(
    kind: Kind, detail: str | None, *, errors: Sequence[tuple[str, str]], reasons: Sequence[Reason]
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": f"urn:tollgate:problem:{kind.name.lower()}",
        "title": kind.title,
        "status": kind.status,
    }
    if detail is not None:
        document["detail"] = detail
    if errors:
        document["errors"] = [{"field": field, "message": message} for field, message in errors]
    if reasons:
        document["reasons"] = [{"code": reason.code, "text": reason.text} for reason in reasons]
    return document


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


_EXCEPTIONS = tuple(type_ for type_ in TABLE if issubclass(type_, Exception))
