"""What migrations of customers look like on the wire."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.billing.fields import Address, Token
from api.http.cursors import Page
from api.http.fields import Body, Time
from db.switching.switches import Migration
from domain.billing.subscription import Provider
from domain.switching.switch import IN_WORDS


class NewMigration(Body):
    provider: Provider = Field(examples=["stripe"])
    plan_id: Token = Field(examples=["price_standard"])
    return_url: Address = Field(examples=["https://example.com/moved"])
    cancel_url: Address = Field(examples=["https://example.com/not-moved"])


class SubscriptionRef(BaseModel):
    provider: str
    subscription_id: str | None


class MigrationOut(BaseModel):
    """The customer consents at `checkout_url` until `expires_at`; the target charges first at
    `first_charge_at`.
    """

    model_config = ConfigDict(title="Migration")

    organization_id: str
    id: UUID
    status: str = Field(examples=["offered"])
    message: str = Field(
        examples=["the customer has the link of a checkout, and has not consented yet"]
    )
    reason: str
    source: SubscriptionRef
    target: SubscriptionRef
    checkout_url: str | None
    first_charge_at: Time | None
    expires_at: Time | None
    started_at: Time
    ended_at: Time | None

    @classmethod
    def of(cls, migration: Migration) -> "MigrationOut":
        return cls(
            organization_id=migration.organization_id,
            id=migration.id,
            status=migration.state.value,
            message=IN_WORDS[migration.state],
            reason=migration.reason,
            source=SubscriptionRef(
                provider=migration.source_provider.value,
                subscription_id=migration.source_subscription_id,
            ),
            target=SubscriptionRef(
                provider=migration.target_provider.value,
                subscription_id=migration.target_subscription_id,
            ),
            checkout_url=migration.checkout_url,
            first_charge_at=migration.first_charge_at,
            expires_at=migration.expires_at,
            started_at=migration.started_at,
            ended_at=migration.ended_at,
        )


class MigrationPage(Page[MigrationOut]):
    pass
