"""Webhook events in Stripe's format: created once, stored as the exact delivered bytes, listed for
replay.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulators.stripe.state import API_VERSION, Json, State
from simulators.transmissions import Event


@dataclass(slots=True)
class Events:
    state: State
    all: dict[str, Event] = field(default_factory=dict)

    def emit(self, event_type: str, subject: Json, *, at: int | None = None) -> Event:
        created = self.state.now() if at is None else at
        body: Json = {
            "id": self.state.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": created,
            "data": {"object": subject},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": event_type,
        }
        raw = json.dumps(body, indent=2).encode()
        frozen = json.loads(raw)
        return self._keep(
            Event(body["id"], event_type, datetime.fromtimestamp(created, UTC), raw, frozen)
        )

    def add_raw(self, raw: bytes) -> Event:
        """Store arbitrary bytes as an event; its id and type are read from them if possible."""
        body: Any = None
        with suppress(ValueError):
            body = json.loads(raw)
        fields = body if isinstance(body, dict) else {}
        event_id = str(fields.get("id") or self.state.new_id("evt"))
        return self._keep(
            Event(event_id, str(fields.get("type", "")), datetime.now(UTC), raw, fields or None)
        )

    def between(self, start: int | None, end: int | None) -> Iterator[Json]:
        """Newest first, as Stripe lists them."""
        for event in reversed(list(self.all.values())):
            at = int(event.created.timestamp())
            if (
                event.body is not None
                and (start is None or at >= start)
                and (end is None or at <= end)
            ):
                yield event.body

    def _keep(self, event: Event) -> Event:
        self.all[event.id] = event
        return event
