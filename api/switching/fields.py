"""What switches of customers look like on the wire."""

from uuid import UUID

from pydantic import BaseModel, Field

from api.billing.fields import Address, Token
from api.http.cursors import Page
from api.http.fields import Body, Time
from db.switching.switches import Switch
from domain.billing.subscription import Provider
from domain.switching.switch import IN_WORDS


class SwitchRequest(Body):
    provider: Provider = Field(examples=["stripe"])
    plan_id: Token = Field(examples=["price_standard"])
    return_url: Address = Field(examples=["https://example.com/moved"])
    cancel_url: Address = Field(examples=["https://example.com/not-moved"])


class SubscriptionRef(BaseModel):
    provider: str
    subscription_id: str | None


class SwitchOut(BaseModel):
    """The customer consents at `checkout_url` until `expires_at`; the target charges first at
    `first_charge_at`.
    """

    organization_id: str
    id: UUID
    status: str = Field(examples=["offered"])
    message: str = Field(examples=["the customer has the checkout link and has not consented yet"])
    reason: str
    source: SubscriptionRef
    target: SubscriptionRef
    checkout_url: str | None
    first_charge_at: Time | None
    expires_at: Time | None
    started_at: Time
    ended_at: Time | None

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
