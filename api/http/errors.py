"""Errors as problem documents (RFC 9457): every cause has a code, a status and a title.

An answer never contains a stack trace or a library's message about our internals.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from domain.audit.can_send import Reason

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "2"


class Kind(Enum):
    """The kinds of problems with their status and title. Each cause has one; its name in lower case
    is the problem's `code`, and the last part of its `type`.
    """

    MALFORMED_REQUEST = 400, "Malformed request"
    BODY_NOT_JSON = 400, "The body is not JSON"
    BODY_INCOMPLETE = 400, "The connection closed before the body was complete"
    NOT_A_STATUS_CALLBACK = 400, "Not a status callback"
    NOT_A_USAGE_CALLBACK = 400, "Not a usage callback"
    INVALID_SIGNATURE = 400, "Invalid signature"
    API_KEY_MISSING = 401, "API key missing"
    API_KEY_INVALID = 401, "API key unknown or revoked"
    INSUFFICIENT_FUNDS = 402, "Insufficient funds"
    INSUFFICIENT_SCOPE = 403, "The API key's scope is insufficient"
    UNKNOWN_ACCOUNT = 403, "Unknown Twilio account"
    API_KEY_NOT_FOUND = 404, "API key not found"
    PATH_NOT_FOUND = 404, "Path not found"
    ORGANIZATION_NOT_FOUND = 404, "Organization not found"
    BLOCK_NOT_FOUND = 404, "Block not found"
    HOLD_NOT_FOUND = 404, "Hold not found"
    TOP_UP_NOT_FOUND = 404, "Top-up not found"
    SUBSCRIPTION_NOT_FOUND = 404, "Subscription not found"
    SWITCH_NOT_FOUND = 404, "Switch not found"
    CAMPAIGN_NOT_FOUND = 404, "Campaign not found"
    MESSAGE_NOT_FOUND = 404, "Message not found"
    RATE_NOT_FOUND = 404, "Rate not found"
    POLICY_NOT_FOUND = 404, "Policy not found"
    RELEASE_NOT_FOUND = 404, "That release is not proposed"
    DELIVERY_NOT_FOUND = 404, "Delivery not found"
    PARKED_DELIVERY_NOT_FOUND = 404, "Parked delivery not found"
    EVENT_NOT_FOUND = 404, "Event not found"
    WEBHOOK_ENDPOINT_NOT_FOUND = 404, "Webhook endpoint not found"
    WEBHOOK_DELIVERY_NOT_FOUND = 404, "Webhook delivery not found"
    BULK_ACT_NOT_FOUND = 404, "Act over many organizations not found"
    ALERT_NOT_FOUND = 404, "Alert not found"
    NOTIFICATION_ROUTE_NOT_FOUND = 404, "Notification route not found"
    WEBHOOK_NOT_FOUND = 404, "No webhook for this provider"
    METHOD_NOT_ALLOWED = 405, "Method not allowed"
    REQUEST_TIMEOUT = 408, "The request did not arrive in time"
    IDEMPOTENCY_KEY_REUSED = 409, "Idempotency key reused with a different request"
    REFERENCE_REUSED = 409, "Reference reused with different content"
    ORGANIZATION_EXISTS = 409, "The organization exists with different content"
    TWILIO_ACCOUNT_TAKEN = 409, "The Twilio account belongs to another organization"
    SUBSCRIPTION_TAKEN = 409, "The subscription belongs to another organization"
    SUBSCRIPTION_NOT_BILLING = 409, "The subscription does not bill, and another one is current"
    NO_CURRENT_SUBSCRIPTION = 409, "No current subscription"
    SUBSCRIPTION_NOT_STARTED = 409, "The customer has not consented to the subscription"
    PROVIDER_NOT_CONFIGURED = 409, "The subscription's provider is not configured"
    PROVIDER_OBJECT_MISSING = 409, "The provider no longer has the object"
    PROVIDER_STATE_CONFLICT = 409, "The object's state at the provider does not allow it"
    PROVIDER_OBJECT_ENDED = 409, "The object has ended at the provider"
    ALREADY_AT_PROVIDER = 409, "The current subscription is at that provider already"
    SWITCH_IN_PROGRESS = 409, "Another switch is in progress"
    ORGANIZATION_NOT_SUSPENDED = 409, "The organization is not suspended"
    HOLD_CLOSED = 409, "The hold is closed"
    CAMPAIGN_NOT_DRAFT = 409, "Only a draft takes recipients"
    CAMPAIGN_EMPTY = 409, "The campaign has no recipients"
    CAMPAIGN_NOT_STARTABLE = 409, "The campaign's status does not allow a start"
    CAMPAIGN_NOT_PAUSABLE = 409, "The campaign's status does not allow a pause"
    CAMPAIGN_NOT_RESUMABLE = 409, "The campaign's status does not allow it to resume"
    CAMPAIGN_COMPLETED = 409, "The campaign has completed"
    CAMPAIGN_CANCELED = 409, "The campaign was canceled"
    MESSAGE_NOT_LOST = 409, "Only a lost message can be sent again"
    MESSAGE_NOT_UNCONFIRMED = 409, "Only a message that Twilio never confirmed can be given up"
    MESSAGE_NOT_UNPAID = 409, "The message was not sent after its refund"
    SECRET_KEYS_MISSING = 409, "TOLLGATE_SECRET_KEYS is not set"
    MESSAGE_NOT_FINAL = 409, "Only a message whose outcome is final can be refunded"
    MESSAGE_ALREADY_REFUNDED = 409, "The message was refunded already"
    DELIVERY_NOT_RETRYABLE = 409, "Trying the delivery again would change nothing"
    BULK_ACT_NOT_CONFIRMED = 409, "The confirmation does not suit the preview"
    NOTHING_STUCK = 409, "No step of the organization waits or is stuck"
    ALERT_CLEARS_ITSELF = 409, "The alert clears by itself"
    NO_RATE = 409, "No rate for any country"
    SENDER_COSTS_MORE = 409, "The sender may send what the customer does not pay for"
    BODY_TOO_LARGE = 413, "The body is too large"
    TOO_MANY_LINES = 413, "The file has too many lines"
    UNSUPPORTED_MEDIA_TYPE = 415, "Unsupported media type"
    UNSUPPORTED_CHARSET = 415, "Unsupported charset"
    UNSUPPORTED_ENCODING = 415, "Unsupported content encoding"
    INVALID = 422, "Invalid request; `errors` names the fields"
    INVALID_FILE = 422, "The file cannot be read"
    NO_RECIPIENTS = 422, "The file has no recipients"
    NO_VALID_RECIPIENTS = 422, "The file has no number that can be sent to"
    NOTHING_TO_REFUND = 422, "No debit to refund"
    NOT_ACCEPTED_BY_PROVIDER = 422, "The provider does not accept a value of the request"
    SUSPENDED = 423, "The organization is suspended"
    FROZEN = 423, "The wallet is frozen"
    HEAD_TOO_LARGE = 431, "The request line and headers are too large"
    INTERNAL = 500, "Internal error"
    PROVIDER_REFUSED = 502, "The provider refused the request"
    PROVIDER_UNAVAILABLE = 503, "The provider is unavailable"
    SIGNATURE_UNVERIFIABLE = 503, "The signature cannot be verified now"
    DATABASE_UNAVAILABLE = 503, "The database is unavailable"
    DELIVERY_NOT_STORED = 503, "The delivery was not stored"
    OUTCOME_UNKNOWN = 503, "Outcome unknown; retry with the same reference"
    OVERLOADED = 503, "Overloaded; nothing was booked"

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def title(self) -> str:
        return self.value[1]

    @property
    def code(self) -> str:
        return self.name.lower()

    @property
    def type(self) -> str:
        return f"urn:tollgate:problem:{self.code}"


INVALID_VALUE = "invalid_value"


class FieldError(NamedTuple):
    field: str
    message: str
    code: str = INVALID_VALUE


class FieldProblem(BaseModel):
    """One wrong field or query parameter."""

    field: str = Field(
        examples=["amount"], description="Its name; parts of nested fields are separated by dots."
    )
    code: str = Field(examples=["invalid_value"], description="The cause, for programs.")
    message: str = Field(
        examples=["an amount has at most six decimals"], description="The cause, for people."
    )


class ReasonOut(BaseModel):
    """A reason why an organization may not send."""

    code: str = Field(
        examples=["nonpayment"],
        description=(
            "The reason, for programs: a kind of block, `recovery`, `reactivating`, `frozen`, `no_rate` "
            "or `insufficient_funds`."
        ),
    )
    message: str = Field(
        examples=["the subscription is not paid"],
        description="The reason, for people; it may be shown to the customer.",
    )


class ProblemOut(BaseModel):
    """A problem document (RFC 9457). Members that do not apply are missing."""

    type: str = Field(
        description="`urn:tollgate:problem:` and the code.",
        examples=["urn:tollgate:problem:invalid"],
    )
    title: str = Field(
        description="The cause, for people; the same for each code.",
        examples=["Invalid request; `errors` names the fields"],
    )
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str | None = Field(
        default=None, description="What was wrong with this request, for people."
    )
    code: str = Field(
        description="The cause, for programs; it never changes its meaning.",
        examples=["invalid"],
        json_schema_extra={"enum": [kind.code for kind in Kind]},
    )
    errors: list[FieldProblem] | None = Field(
        default=None, description="The wrong fields, with status 422."
    )
    reasons: list[ReasonOut] | None = Field(
        default=None, description="Why the organization may not send, with status 402 or 423."
    )
    balance: str | None = Field(
        default=None, description="With `insufficient_funds`: what the wallet holds."
    )
    needed: str | None = Field(
        default=None, description="With `insufficient_funds`: what the request takes."
    )
    seq: int | None = Field(
        default=None, description="With `reference_reused`: the ledger entry with that reference."
    )
    request_id: str | None = Field(
        default=None, description="The id of the request, also in the header `X-Request-Id`."
    )


class Problem(HTTPException):
    """Raise it anywhere in a request; `extra` are additional members of the document."""

    def __init__(
        self,
        kind: Kind,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        reasons: Sequence[Reason] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(kind.status, detail or kind.title, dict(headers or {}))
        self.kind = kind
        self.document = _document(kind, detail, errors=errors, reasons=reasons) | extra


def invalid(field: str, message: str, code: str = INVALID_VALUE) -> Problem:
    return Problem(Kind.INVALID, f"{field}: {message}", errors=[FieldError(field, message, code)])


def not_found(what: str, detail: str | None = None) -> Problem:
    """`what` names a resource that has a kind, such as "parked delivery"."""
    kind = Kind[f"{what.upper().replace(' ', '_')}_NOT_FOUND"]
    return Problem(kind, detail or f"there is no such {what}")


def may_not_send(kind: Kind, reasons: Sequence[Reason], **extra: Any) -> Problem:
    """The same problem wherever an organization is suspended, frozen or without money."""
    detail = "; ".join(reason.text for reason in reasons) or None
    return Problem(kind, detail, reasons=reasons, **extra)


def response(problem: Problem, request: Request) -> JSONResponse:
    headers = dict(problem.headers or {})
    if problem.status_code == 503:
        headers.setdefault("Retry-After", RETRY_AFTER)
    document = problem.document | {"request_id": getattr(request.state, "request_id", None)}
    return JSONResponse(document, problem.status_code, headers, media_type=MEDIA_TYPE)


def _document(
    kind: Kind, detail: str | None, *, errors: Sequence[FieldError], reasons: Sequence[Reason]
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
    }
    if detail is not None:
        document["detail"] = detail
    if errors:
        document["errors"] = [error._asdict() for error in errors]
    if reasons:
        document["reasons"] = [{"code": reason.code, "message": reason.text} for reason in reasons]
    return document
