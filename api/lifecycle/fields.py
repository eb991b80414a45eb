"""What organizations look like on the wire."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from api.http.cursors import Page
from api.http.errors import ReasonOut
from api.http.fields import Body, Currency, Decimal, Name, PricePerSegment, Time
from db.lifecycle.organizations import Organization
from domain.campaigns import senders
from domain.campaigns.telephony import ACCOUNT_SID
from domain.lifecycle.organization import ID_PATTERN

_EXAMPLE: dict[str, JsonValue] = {
    "id": "acme",
    "name": "Acme Ltd",
    "currency": "USD",
    "twilio_account_sid": "AC0123456789abcdef0123456789abcdef",
    "sender": "+15550001000",
    "price_per_segment": "0.0125",
    "grace_period_seconds": 259200,
}


_ANSWER_EXAMPLE: dict[str, JsonValue] = {
    **_EXAMPLE,
    "messages_per_second": None,
    "created_at": "2026-05-04T09:30:00Z",
}


def _sender(text: str) -> str:
    if not senders.is_sender(text):
        raise ValueError(senders.FORMS)
    return text


Sender = Annotated[
    str,
    AfterValidator(_sender),
    Field(
        description="A phone number, short code, alphanumeric sender id or messaging service's sid."
    ),
]
GracePeriod = Annotated[int, Field(ge=0, le=366 * 86400)]


class OrganizationRequest(Body):
    """`grace_period_seconds` is how long it keeps sending while a payment is past due.

    `price_per_segment` counts where no rate is set; without it only countries with a rate are sent
    to.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]
    name: Name
    currency: Currency
    twilio_account_sid: Annotated[str, Field(pattern=f"^{ACCOUNT_SID}$")]
    sender: Sender
    price_per_segment: PricePerSegment | None = None
    grace_period_seconds: GracePeriod | None = None
    messages_per_second: Annotated[int, Field(ge=1, le=10_000)] | None = None


class OrganizationChangeRequest(Body):
    """Only what is named changes. `price_per_segment` null: only countries with a rate are sent to.

    A new price counts for recipients that are loaded and single messages that are sent from now on;
    a new grace period also for one that runs.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"sender": "ACME"}]})

    name: Name | None = None
    sender: Sender | None = None
    price_per_segment: PricePerSegment | None = None
    grace_period_seconds: GracePeriod | None = None

    @model_validator(mode="after")
    def _something(self) -> "OrganizationChangeRequest":
        if not self.model_fields_set:
            raise ValueError(
                "name at least one of name, sender, price_per_segment, grace_period_seconds"
            )
        for name in self.model_fields_set - {"price_per_segment"}:
            if getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null")
        return self


class PaceRequest(Body):
    messages_per_second: Annotated[int, Field(ge=1, le=10_000)] | None


class OrganizationOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [_ANSWER_EXAMPLE]})

    id: str
    name: str
    currency: str
    twilio_account_sid: str
    sender: str
    price_per_segment: Decimal | None
    grace_period_seconds: int
    messages_per_second: int | None = Field(
        default=None, description="How fast its campaigns may go."
    )
    created_at: Time | None

    @classmethod
    def of(cls, organization: Organization) -> "OrganizationOut":
        return cls(
            id=organization.id,
            name=organization.name,
            currency=organization.currency,
            twilio_account_sid=organization.twilio_account_sid,
            sender=organization.sender,
            price_per_segment=organization.price_per_segment
            and organization.price_per_segment.micros,
            grace_period_seconds=int(organization.grace.total_seconds()),
            messages_per_second=organization.messages_per_second,
            created_at=organization.created_at,
        )


class OrganizationPage(Page[OrganizationOut]):
    pass


class CanSend(BaseModel):
    can_send: bool = Field(examples=[False])
    reasons: list[ReasonOut]
