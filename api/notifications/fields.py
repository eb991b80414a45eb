"""How the API shows notification routes."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.http.fields import Body, Name, Time
from db.notifications.routes import Route
from domain.alerts import AlertKind, Severity
from providers.channels import LONGEST_URL

Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_URL,
        description="The channel's URL in the form of Apprise. It is stored encrypted, and not "
        "shown again.",
        examples=["ntfys://ntfy.example.com/tollgate"],
    ),
]
Severities = Annotated[
    list[Severity], Field(max_length=3, description="Only these severities; empty: all.")
]
Kinds = Annotated[
    list[AlertKind], Field(max_length=200, description="Only these kinds; empty: all.")
]


class NotificationRouteRequest(Body):
    """Who is told of which alerts."""

    name: Name = Field(description="Who or what it is.", examples=["on call"])
    url: Url
    severities: Severities = Field(default_factory=list)
    kinds: Kinds = Field(default_factory=list)


class NotificationRouteChangeRequest(Body):
    """What is missing stays as it is."""

    name: Name | None = Field(default=None, description="Who or what it is.")
    url: Url | None = Field(default=None, description="The channel's new URL.")
    severities: Severities | None = Field(default=None, description="The severities; empty: all.")
    kinds: Kinds | None = Field(default=None, description="The kinds; empty: all.")


class NotificationRouteOut(BaseModel):
    """A route by which people are told of alerts, without its URL."""

    id: str = Field(description="The id of the route.")
    name: str = Field(description="Who or what it is.")
    scheme: str = Field(examples=["ntfys"], description="The scheme of its URL.")
    severities: list[str] = Field(description="Only these severities; empty: all.")
    kinds: list[str] = Field(description="Only these kinds; empty: all.")
    created_at: Time = Field(description="When it was made.")
    last_sent_at: Time | None = Field(description="When it last accepted a message.")
    failures: int = Field(description="How often it has failed since then.")
    last_message: str | None = Field(description="Why it failed last; null if it works.")
    retry_at: Time | None = Field(description="When what waits is tried again.")

    @classmethod
    def of(cls, route: Route) -> "NotificationRouteOut":
        return cls(
            id=route.id,
            name=route.name,
            scheme=route.scheme,
            severities=list(route.severities),
            kinds=list(route.kinds),
            created_at=route.created_at,
            last_sent_at=route.last_sent_at,
            failures=route.failures,
            last_message=route.problem,
            retry_at=route.retry_at,
        )


class TestOut(BaseModel):
    """Whether a channel accepted a message."""

    model_config = ConfigDict(title="NotificationTest")

    accepted: bool = Field(description="Whether it did.")
    message: str | None = Field(description="Why it did not; null if it did.")
