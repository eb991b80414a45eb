"""Webhook events: created once, stored as the exact delivered bytes, listed for replay."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulators.paypal.money_resources import Json
from simulators.paypal.resources import Resources
from simulators.paypal.state import State
from simulators.transmissions import Event


@dataclass(slots=True)
class Events:
    state: State
    resources: Resources
    all: dict[str, Event] = field(default_factory=dict)

    def emit(
        self,
        event_type: str,
        resource_type: str,
        resource: Json,
        *,
        at: datetime | None = None,
        summary: str = "",
        version: str | None = None,
    ) -> Event:
        created = at or self.state.now()
        event_id = f"WH-{self.state.new_id()}-{self.state.new_id()}"
        body: Json = {
            "id": event_id,
            "event_version": "1.0",
            "create_time": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "resource_type": resource_type,
            "event_type": event_type,
            "summary": summary or event_type.replace(".", " ").capitalize(),
            "resource": resource,
            "links": [
                self.resources.link("self", f"/v1/notifications/webhooks-events/{event_id}"),
                self.resources.link(
                    "resend", f"/v1/notifications/webhooks-events/{event_id}/resend", "POST"
                ),
            ],
        }
        if version is not None:
            body["resource_version"] = version
        raw = json.dumps(body, separators=(",", ":")).encode()
        return self._keep(Event(event_id, event_type, created, raw, body))

    def add_raw(self, raw: bytes) -> Event:
        """Store arbitrary bytes as an event; its id and type are read from them if possible."""
        body: Any = None
        with suppress(ValueError):
            body = json.loads(raw)
        fields = body if isinstance(body, dict) else {}
        event_id = str(fields.get("id") or f"WH-{self.state.new_id()}-{self.state.new_id()}")
        event = Event(
            event_id, str(fields.get("event_type", "")), self.state.now(), raw, fields or None
        )
        return self._keep(event)

    def between(
        self, start: datetime | None, end: datetime | None, event_type: str | None
    ) -> list[Event]:
        """Newest first, as PayPal lists them."""
        return [
            event
            for event in sorted(self.all.values(), key=lambda each: each.created, reverse=True)
            if (start is None or event.created >= start)
            and (end is None or event.created <= end)
            and event_type in (None, event.type)
            and event.body is not None
        ]

    def _keep(self, event: Event) -> Event:
        self.all[event.id] = event
        return event
