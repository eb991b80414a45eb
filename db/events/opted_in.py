"""Events that are written only while an endpoint asks for their type, and of many facts at once."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events.log import appending_sql
from domain.events.catalogue import EventType

_WANTED = (
    "EXISTS (SELECT FROM webhook_endpoints WHERE status <> 'deleted' AND '{type}' = ANY (types))"
)


def batch(type_: EventType) -> TextClause:
    """One event for each organization, with the ids of its messages."""
    rows = f"""
        (SELECT organization_id, jsonb_agg(id) AS ids
         FROM unnest(CAST(:organizations AS text[]), CAST(:ids AS text[])) AS t (organization_id, id)
         WHERE {_WANTED.format(type=type_.value)} GROUP BY organization_id) told
    """  # noqa: S608 - of constants
    return text(appending_sql(type_, rows, "organization_id", {"message_ids": "ids"}))


async def append(
    conn: AsyncConnection, statement: TextClause, messages: Sequence[tuple[str, UUID]]
) -> None:
    """Tell of these messages, if anybody wants to hear of them. The caller changes them in the same
    transaction, and commits.
    """
    if messages:
        params: dict[str, Any] = {
            "organizations": [organization_id for organization_id, _ in messages],
            "ids": [str(message_id) for _, message_id in messages],
        }
        await conn.execute(statement, params)
