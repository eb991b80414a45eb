"""An event as an endpoint receives it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from domain.events.catalogue import shown, version_of


def payload(
    event_id: str,
    type_: str,
    occurred_at: datetime,
    organization_id: str | None,
    data: Mapping[str, Any],
) -> bytes:
    """The same bytes at each attempt."""
    document = {
        "id": event_id,
        "type": type_,
        "version": version_of(type_),
        "timestamp": occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "organization_id": organization_id,
        "data": shown(type_, data),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
