"""Webhook endpoints and their deliveries, as the API shows them."""

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.http.fields import Body, Moment, Note, Time
from db.outbound.deliveries import Delivery
from db.outbound.endpoints import Endpoint, Secret
from db.outbound.queues import Attempt
from domain.events.catalogue import EventType
from domain.lifecycle.organization import is_organization_id
from domain.outbound.deliveries import SigningScheme
from providers.outbound.urls import LONGEST

_MOST_ORGANIZATIONS = 100
_LARGEST_ID = 2**63 - 1


def _known(type_: str) -> str:
    if type_ not in set(EventType):
        raise ValueError(f"no such type; the types are {', '.join(sorted(EventType))}")
    return type_


def _organization_id(text: str) -> str:
    if not is_organization_id(text):
        raise ValueError("not an organization's id")
    return text


EndpointId = Annotated[
    str,
    Path(
        description="The id of the endpoint.",
        pattern="^we_[0-9a-f]{24}$",
        examples=["we_0123456789abcdef01234567"],
    ),
]
DeliveryId = Annotated[
    int, Path(description="The id of the delivery.", ge=1, le=_LARGEST_ID, examples=[17])
]
Url = Annotated[
    str,
    Field(
        max_length=LONGEST,
        description="An https URL with a public address.",
        examples=["https://app.example.com/hooks/tollgate"],
    ),
]
Types = Annotated[
    list[Annotated[str, AfterValidator(_known)]],
    Field(
        max_length=200,
        description="Only events of these types; empty: all that are not opt-in.",
        examples=[["organization.suspended", "organization.reactivated"]],
    ),
]
OrganizationIds = Annotated[
    list[Annotated[str, AfterValidator(_organization_id)]],
    Field(
        max_length=_MOST_ORGANIZATIONS,
        description="Only events of these organizations; empty: all events.",
        examples=[["acme"]],
    ),
]


class WebhookEndpointRequest(Body):
    """Where events go, and which."""

    url: Url
    description: Note = Field(default="", description="For people.")
    types: Types = Field(default_factory=list)
    organization_ids: OrganizationIds = Field(default_factory=list)
    scheme: SigningScheme = Field(
        default=SigningScheme.HMAC,
        description="How events are signed: `v1` by a shared secret, `v1a` by a private key "
        "whose public key you verify with.",
    )


class WebhookEndpointChangeRequest(Body):
    """What to change; what is missing stays as it is."""

    url: Url | None = Field(default=None, description="An https URL with a public address.")
    description: Note | None = Field(default=None, description="For people.")
    types: Types | None = Field(default=None, description="Only events of these types.")
    organization_ids: OrganizationIds | None = Field(
        default=None, description="Only events of these organizations."
    )


class RotationRequest(Body):
    """How the secret is replaced."""

    overlap_seconds: int = Field(
        default=86_400,
        ge=0,
        le=30 * 86_400,
        description="How long the previous secrets sign, too.",
    )
    scheme: SigningScheme | None = Field(
        default=None, description="The new secret's; the same as before unless it is given."
    )


class EnablingRequest(Body):
    """What happens to what was queued."""

    skip_pending: bool = Field(
        default=False, description="Whether to skip what was queued while it was disabled."
    )


class ReplayRequest(Body):
    """From where; one of the two is needed."""

    since: Moment | None = Field(default=None, description="Events that happened since then.")
    after_event_id: str | None = Field(
        default=None,
        max_length=100,
        description="Events after this one.",
        examples=["evt_019a0b1c2d3e7f408192a3b4c5d6e7f8"],
    )


class SigningSecretOut(BaseModel):
    """What signs, without the secret itself."""

    scheme: str = Field(description="`v1` or `v1a`.", examples=["v1"])
    public_key: str | None = Field(description="`whpk_…`, of a `v1a` secret.")
    created_at: Time = Field(description="When it was made.")
    expires_at: Time | None = Field(description="Until when it signs; null: until it is rotated.")

    @classmethod
    def of(cls, secret: Secret) -> "SigningSecretOut":
        return cls(
            scheme=secret.scheme.value,
            public_key=secret.public_key,
            created_at=secret.created_at,
            expires_at=secret.expires_at,
        )


class WebhookEndpointOut(BaseModel):
    """An address of the host application to which events are delivered."""

    model_config = ConfigDict(title="WebhookEndpoint")

    id: str = Field(description="The id of the endpoint.", examples=["we_0123456789abcdef01234567"])
    url: str = Field(description="Where events are posted.")
    description: str = Field(description="For people.")
    types: list[str] = Field(description="Only these types; empty: all that are not opt-in.")
    organization_ids: list[str] = Field(description="Only these organizations; empty: all events.")
    status: str = Field(description="`enabled` or `disabled`.", examples=["enabled"])
    disabled_because: str | None = Field(
        description="`gone`: it answered 410; `failing`: for five days; `by_hand`."
    )
    disabled_at: Time | None = Field(description="Since when it is disabled.")
    first_failed_at: Time | None = Field(
        description="The first attempt that failed since the last one that succeeded."
    )
    created_at: Time = Field(description="When it was made.")
    signing_secrets: list[SigningSecretOut] = Field(description="What signs, the newest first.")
    secret: str | None = Field(
        description="What to verify with: `whsec_…`, or the public key `whpk_…`. Only in the answer "
        "that makes it."
    )

    @classmethod
    def of(
        cls, endpoint: Endpoint, secrets: list[Secret], shown: str | None = None
    ) -> "WebhookEndpointOut":
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            description=endpoint.description,
            types=list(endpoint.types),
            organization_ids=list(endpoint.organization_ids),
            status=endpoint.status,
            disabled_because=endpoint.disabled_because,
            disabled_at=endpoint.disabled_at,
            first_failed_at=endpoint.first_failed_at,
            created_at=endpoint.created_at,
            signing_secrets=[SigningSecretOut.of(secret) for secret in secrets],
            secret=shown,
        )


class AttemptOut(BaseModel):
    """One try to deliver an event."""

    model_config = ConfigDict(title="DeliveryAttempt")

    at: Time = Field(description="When it began.")
    status: int | None = Field(description="The HTTP status; null without an answer.")
    latency_ms: int = Field(description="How long it took.")
    answer: str = Field(description="The first 1,024 bytes of the answer.")
    reason: str = Field(
        description="Why it failed, or was not read to its end; empty otherwise.",
        examples=["it did not answer in time"],
    )

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptOut":
        return cls(
            at=attempt.at,
            status=attempt.status,
            latency_ms=attempt.latency_ms,
            answer=attempt.answer,
            reason=attempt.reason,
        )


class WebhookDeliveryOut(BaseModel):
    """An event on its way to an endpoint."""

    model_config = ConfigDict(title="WebhookDelivery")

    id: int = Field(description="The id of the delivery; a later one has a higher id.")
    event_id: str = Field(description="The event, and the `webhook-id` of every attempt.")
    event_type: str | None = Field(description="Its type; null if the event is no longer kept.")
    organization_id: str | None = Field(description="Whose it is; null: the installation's.")
    status: str = Field(
        description="`pending`, `delivered`, `failed` (given up) or `skipped`.",
        examples=["delivered"],
    )
    attempts: int = Field(description="How often it was tried.")
    created_at: Time = Field(description="When it was queued.")
    settled_at: Time | None = Field(description="When it was delivered, given up or skipped.")
    due_at: Time | None = Field(
        description="When the oldest pending delivery of its organization is tried next."
    )

    @classmethod
    def of(cls, delivery: Delivery) -> "WebhookDeliveryOut":
        return cls(**_values(delivery))


class WebhookDeliveryWithAttemptsOut(WebhookDeliveryOut):
    """The same, with what was tried within the last 30 days."""

    model_config = ConfigDict(title="WebhookDeliveryWithAttempts")

    tried: list[AttemptOut] = Field(description="The attempts, the oldest first.")

    @classmethod
    def with_attempts(
        cls, delivery: Delivery, attempts: list[Attempt]
    ) -> "WebhookDeliveryWithAttemptsOut":
        tried = [AttemptOut.of(attempt) for attempt in attempts]
        return cls(**_values(delivery), tried=tried)


class ReplayOut(BaseModel):
    """What was queued again."""

    model_config = ConfigDict(title="ReplayedEvents")

    events: int = Field(description="How many events.")
    last_event_id: str | None = Field(description="The last one of them.")
    more: bool = Field(
        description="Whether there may be more: replay again, with `last_event_id` as "
        "`after_event_id`."
    )


def _values(delivery: Delivery) -> dict[str, object]:
    return {
        "id": delivery.position,
        "event_id": delivery.event_id,
        "event_type": delivery.type,
        "organization_id": delivery.organization_id,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "created_at": delivery.created_at,
        "settled_at": delivery.settled_at,
        "due_at": delivery.due_at,
    }
