"""Pages of messages, of an organization or of one campaign, that filters find.

Each status is read from its own place in an index, and the few rows of each are merged: a page costs
the same however many messages there are.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import messages
from db.campaigns.messages import Message
from domain.campaigns.campaign import MessageStatus

_BETWEEN = """
    AND (CAST(:before AS timestamptz) IS NULL OR created_at < :before)
    AND (CAST(:after AS timestamptz) IS NULL OR created_at > :after)
    AND (CAST(:last_at AS timestamptz) IS NULL OR (created_at, id) < (:last_at, CAST(:last_id AS uuid)))
"""
_NEWEST = "ORDER BY created_at DESC, id DESC LIMIT :limit"
_OF_ORGANIZATION = text(
    f"""
    SELECT found.id FROM unnest(CAST(:statuses AS text[])) AS wanted(status), LATERAL (
        SELECT id, created_at FROM messages
        WHERE organization_id = :organization_id AND status = wanted.status {_BETWEEN} {_NEWEST}
    ) AS found {_NEWEST}
    """  # noqa: S608 - of constants
)
_TO_ONE = text(
    f"""
    WITH sent AS MATERIALIZED (
        SELECT id, created_at, status FROM messages
        WHERE organization_id = :organization_id AND recipient = :recipient
    )
    SELECT id FROM sent WHERE status = ANY(CAST(:statuses AS text[])) {_BETWEEN} {_NEWEST}
    """  # noqa: S608 - of constants
)
_OF_CAMPAIGN = text(
    """
    SELECT found.id FROM unnest(CAST(:statuses AS text[])) AS wanted(status), LATERAL (
        SELECT id, position FROM messages
        WHERE organization_id = :organization_id AND campaign_id = :campaign_id
          AND status = wanted.status AND position > :position
        ORDER BY position LIMIT :limit
    ) AS found ORDER BY found.position LIMIT :limit
    """
)
_TO_ONE_OF_CAMPAIGN = text(
    """
    SELECT id FROM messages
    WHERE organization_id = :organization_id AND recipient = :recipient
      AND campaign_id = :campaign_id AND status = ANY(CAST(:statuses AS text[]))
      AND position > :position LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    statuses: Collection[MessageStatus] = tuple(MessageStatus)
    recipient: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def of_organization(
    conn: AsyncConnection,
    organization_id: str,
    filters: Filters,
    *,
    last: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Message]:
    """The newest first; those behind `last`, the time and the id of one, if it is given."""
    last_at, last_id = last or (None, None)
    params = {
        "before": filters.created_before,
        "after": filters.created_after,
        "last_at": last_at,
        "last_id": last_id,
    }
    query = _OF_ORGANIZATION if filters.recipient is None else _TO_ONE
    return await _read(conn, organization_id, query, filters, params | {"limit": limit})


async def of_campaign(
    conn: AsyncConnection,
    organization_id: str,
    campaign_id: UUID,
    filters: Filters,
    *,
    after: int | None,
    limit: int,
) -> list[Message]:
    """By position; those behind the position `after`, if it is given."""
    params = {"campaign_id": campaign_id, "position": -1 if after is None else after}
    query = _OF_CAMPAIGN if filters.recipient is None else _TO_ONE_OF_CAMPAIGN
    return await _read(conn, organization_id, query, filters, params | {"limit": limit})


async def _read(
    conn: AsyncConnection,
    organization_id: str,
    query: Any,
    filters: Filters,
    params: dict[str, Any],
) -> list[Message]:
    params |= {
        "organization_id": organization_id,
        "statuses": [status.value for status in filters.statuses],
    }
    if filters.recipient is not None:
        params["recipient"] = filters.recipient
    ids: Sequence[UUID] = (await conn.execute(query, params)).scalars().all()
    found = {
        message.id: message
        for message in await messages.in_window(conn, organization_id, list(ids))
    }
    return [found[id_] for id_ in ids]
