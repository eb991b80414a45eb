"""Requests and answers about organizations."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, model_validator

from api.http.errors import ReasonOut
from api.http.fields import (
    Body,
    Currency,
    CurrencyOut,
    Decimal,
    Name,
    PricePerMessage,
    PricePerSegment,
    Time,
)
from api.lifecycle.standing_fields import StandingOut
from db.lifecycle.organizations import Organization
from domain.campaigns import senders
from domain.campaigns.telephony import ACCOUNT_SID
from domain.lifecycle.funds import LONGEST_RESERVE, WhenEmpty
from domain.lifecycle.organization import ID_PATTERN
from domain.lifecycle.standing import Standing


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
ReserveDays = Annotated[int, Field(ge=0, le=LONGEST_RESERVE)]
_NULLABLE = {"price_per_segment", "price_per_rcs_message", "messages_per_second"}
_WHEN_EMPTY = (
    "`suspend`: it is suspended when its wallet has had nothing available for its "
    "`empty_grace_period_seconds`; `keep`: it is not, as long as nothing is owed."
)
_EMPTY_GRACE = "How long a wallet may be empty where `when_empty` is `suspend`."
_RESERVE = (
    "For how many days the recurring cost of its subaccount, such as the rent of numbers, is held "
    "in its wallet; 0: none."
)


_BELOW_COST = (
    "Whether `price_per_segment` may be lower than what Twilio charges for a segment to a country "
    "that has no rate."
)
_RCS = (
    "The least that a message costs if the sender is a messaging service, since Twilio may send it "
    "as RCS; null: a service with an RCS sender is refused, and campaigns wait if it gets one later; "
    "0: what RCS costs beyond the price of segments is accepted, and is in the carrier's bill."
)


class OrganizationRequest(Body):
    """An organization to create."""

    id: Annotated[str, Field(pattern=f"^{ID_PATTERN}$")] = Field(
        description="The id that the host application chooses."
    )
    name: Name = Field(description="For people.")
    currency: Currency = Field(description="The currency of its wallet, an ISO 4217 code.")
    twilio_account_sid: Annotated[str, Field(pattern=f"^{ACCOUNT_SID}$")] = Field(
        description="The Twilio subaccount that sends its messages."
    )
    sender: Sender
    price_per_segment: PricePerSegment | None = Field(
        default=None,
        description=(
            "The price where no rate is set; without it only countries with a rate can be sent to."
        ),
    )
    price_below_cost: bool = Field(default=False, description=_BELOW_COST)
    price_per_rcs_message: PricePerMessage | None = Field(
        default=None, description=f"{_RCS} 0 takes the scope operator."
    )
    grace_period_seconds: GracePeriod | None = Field(
        default=None,
        description=(
            "How long it keeps sending while a payment is past due; the installation's "
            "default if missing."
        ),
    )
    when_empty: WhenEmpty = Field(default=WhenEmpty.KEEP, description=_WHEN_EMPTY)
    empty_grace_period_seconds: GracePeriod = Field(default=86400, description=_EMPTY_GRACE)
    reserve_days: ReserveDays = Field(default=0, description=_RESERVE)
    messages_per_second: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None,
        description=(
            "The pace of its campaigns; without it only the pace of the whole Twilio account "
            "applies."
        ),
    )


class OrganizationChangeRequest(Body):
    """The fields to change. A new price applies to recipients and messages that are added from now
    on; a new grace period also to one that runs.
    """

    name: Name | None = Field(default=None, description="For people.")
    sender: Sender | None = Field(
        default=None, description="Where its messages come from, in the forms of a creation."
    )
    price_per_segment: PricePerSegment | None = Field(
        default=None,
        description=(
            "The price where no rate is set; null: only countries with a rate can be sent to."
        ),
    )
    price_below_cost: bool | None = Field(default=None, description=_BELOW_COST)
    price_per_rcs_message: PricePerMessage | None = Field(
        default=None, description=f"{_RCS} 0 takes the scope operator."
    )
    grace_period_seconds: GracePeriod | None = Field(
        default=None, description="How long it keeps sending while a payment is past due."
    )
    when_empty: WhenEmpty | None = Field(default=None, description=_WHEN_EMPTY)
    empty_grace_period_seconds: GracePeriod | None = Field(default=None, description=_EMPTY_GRACE)
    reserve_days: ReserveDays | None = Field(default=None, description=_RESERVE)
    messages_per_second: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None,
        description=(
            "The pace of its campaigns, from their next batch on; null: only the pace of the "
            "whole Twilio account applies. Setting it takes the scope operator."
        ),
    )

    @model_validator(mode="after")
    def _something(self) -> "OrganizationChangeRequest":
        if not self.model_fields_set:
            raise ValueError(f"name at least one of {', '.join(type(self).model_fields)}")
        for name in self.model_fields_set - _NULLABLE:
            if getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null")
        return self


class OrganizationOut(BaseModel):
    """An organization with its settings."""

    id: str = Field(description="The id that the host application chose.")
    name: str = Field(description="For people.")
    currency: CurrencyOut = Field(description="The currency of its wallet, an ISO 4217 code.")
    twilio_account_sid: str = Field(description="The Twilio subaccount that sends its messages.")
    twilio_parent_sid: str | None = Field(
        default=None,
        description="The Twilio account that owns the subaccount; null: not read yet.",
    )
    sender: str = Field(
        description=(
            "The phone number, short code, alphanumeric sender id or messaging service that "
            "its messages come from."
        )
    )
    price_per_segment: Decimal | None = Field(
        description=(
            "The price where no rate is set; null: only countries with a rate can be sent to."
        )
    )
    price_below_cost: bool = Field(default=False, description=_BELOW_COST)
    price_per_rcs_message: Decimal | None = Field(default=None, description=_RCS)
    sender_problem: str | None = Field(
        default=None,
        description="Why its campaigns wait: what the sender may send that nobody pays for.",
    )
    grace_period_seconds: int = Field(
        description="How long it keeps sending while a payment is past due."
    )
    when_empty: WhenEmpty = Field(description=_WHEN_EMPTY)
    empty_grace_period_seconds: int = Field(description=_EMPTY_GRACE)
    reserve_days: int = Field(description=_RESERVE)
    messages_per_second: int | None = Field(
        default=None,
        description=(
            "The pace of its campaigns; null: only the pace of the whole Twilio account applies."
        ),
    )
    created_at: Time | None = Field(description="When it was created.")
    standing: StandingOut = Field(description="Whether it may send.")

    @classmethod
    def of(cls, organization: Organization, standing: Standing) -> "OrganizationOut":
        return cls(
            id=organization.id,
            name=organization.name,
            currency=organization.currency,
            twilio_account_sid=organization.twilio_account_sid,
            twilio_parent_sid=organization.twilio_parent_sid,
            sender=organization.sender,
            price_per_segment=organization.price_per_segment
            and organization.price_per_segment.micros,
            price_below_cost=organization.price_below_cost,
            price_per_rcs_message=organization.price_per_rcs_message
            and organization.price_per_rcs_message.micros,
            sender_problem=organization.sender_problem or None,
            grace_period_seconds=int(organization.grace.total_seconds()),
            when_empty=organization.funds.when_empty,
            empty_grace_period_seconds=int(organization.funds.empty_grace.total_seconds()),
            reserve_days=organization.funds.reserve_days,
            messages_per_second=organization.messages_per_second,
            created_at=organization.created_at,
            standing=StandingOut.of(standing),
        )


class CanSend(BaseModel):
    """Whether an organization may send, and why not."""

    can_send: bool = Field(
        examples=[False], description="Whether a debit of one segment would be accepted now."
    )
    reasons: list[ReasonOut] = Field(description="Why it may not send; empty if it may.")
