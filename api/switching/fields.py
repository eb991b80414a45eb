"""Requests and answers about switches of customers."""

from uuid import UUID

from pydantic import BaseModel, Field

from api.billing.fields import Address, Token
from api.http.cursors import Page
from api.http.fields import Body, Time, options
from db.switching.switches import Switch
from domain.billing.subscription import Provider
from domain.switching.switch import IN_WORDS, SwitchStatus


class SwitchRequest(Body):
    """The plan to switch to, and where the customer returns to."""

    provider: Provider = Field(examples=["stripe"], description="The provider to switch to.")
    plan_id: Token = Field(
        examples=["price_standard"], description="That provider's id of the plan or price."
    )
    return_url: Address = Field(
        examples=["https://example.com/moved"],
        description="Where the customer returns to after consenting.",
    )
    cancel_url: Address = Field(
        examples=["https://example.com/not-moved"],
        description="Where the customer returns to after canceling.",
    )


class SubscriptionRef(BaseModel):
    """A subscription at a provider."""

    provider: str = Field(description="The billing provider.")
    subscription_id: str | None = Field(
        description="The provider's id of the subscription; null until it exists."
    )


class SwitchOut(BaseModel):
    """A switch of a customer to another provider."""

    organization_id: str = Field(description="The id of the organization.")
    id: UUID = Field(description="The id of the switch.")
    status: str = Field(
        examples=["offered"], description="How far it is.", json_schema_extra=options(SwitchStatus)
    )
    message: str = Field(
        examples=["the customer has the checkout link and has not consented yet"],
        description="The status in words.",
    )
    reason: str = Field(
        description="Why it ended without success, or why it waits; empty otherwise."
    )
    source: SubscriptionRef = Field(description="The subscription that is replaced.")
    target: SubscriptionRef = Field(description="The subscription that replaces it.")
    checkout_url: str | None = Field(description="Where the customer consents.")
    first_charge_at: Time | None = Field(description="When the new subscription charges first.")
    expires_at: Time | None = Field(description="Until when the customer can consent.")
    started_at: Time = Field(description="When it was started.")
    ended_at: Time | None = Field(description="When it ended.")

    @classmethod
    def of(cls, switch: Switch) -> "SwitchOut":
        return cls(
            organization_id=switch.organization_id,
            id=switch.id,
            status=switch.state.value,
            message=IN_WORDS[switch.state],
            reason=switch.reason,
            source=SubscriptionRef(
                provider=switch.source_provider.value,
                subscription_id=switch.source_subscription_id,
            ),
            target=SubscriptionRef(
                provider=switch.target_provider.value,
                subscription_id=switch.target_subscription_id,
            ),
            checkout_url=switch.checkout_url,
            first_charge_at=switch.first_charge_at,
            expires_at=switch.expires_at,
            started_at=switch.started_at,
            ended_at=switch.ended_at,
        )


class SwitchPage(Page[SwitchOut]):
    pass
