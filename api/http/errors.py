"""Errors as problem documents (RFC 9457): every cause has a code, a status and a title.

An answer never contains a stack trace or a library's message about our internals.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from domain.audit.can_send import Reason

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "2"


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
