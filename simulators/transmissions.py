"""A webhook's registration, its schedule of retries, and one event on its way to one URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """`raw` is the transmitted bytes; `body` the same as a value, None if the bytes are not JSON."""

    id: str
    type: str
    created: datetime
    raw: bytes
    body: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Webhook:
    id: str
    url: str
    event_types: tuple[str, ...] = ("*",)

    def wants(self, event_type: str) -> bool:
        return "*" in self.event_types or event_type in self.event_types


@dataclass(slots=True)
class Schedule:
    """Retries follow after `first` seconds, then after twice the time each, up to `longest`
    seconds; `tries` posts in total.
    """

    tries: int = 25
    first: float = 0.05
    longest: float = 2.0
    timeout: float = 15.0
    new_transmission_per_retry: bool = False

    def change(self, values: Mapping[str, Any]) -> None:
        names = {each.name for each in fields(self)}
        if values.keys() - names:
            raise ValueError(
                f"unknown settings: {sorted(values.keys() - names)}; known: {sorted(names)}"
            )
        for name, value in values.items():
            setattr(self, name, value)

    def to_json(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One event on its way to one URL. `status` is held, pending, delivered, failed or lost."""

    id: int
    event: Event
    webhook: Webhook
    headers: dict[str, str]
    status: str = "pending"
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "event_id": self.event.id,
            "event_type": self.event.type,
            "webhook_id": self.webhook.id,
            "url": self.webhook.url,
            "transmission_id": self.headers.get("PAYPAL-TRANSMISSION-ID"),
            "status": self.status,
            "attempts": self.attempts,
        }
