"""Messages of all organizations that an operator looks for, by Twilio's id or by the recipient."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import messages
from db.campaigns.messages import Message

_NARROWED = """
    AND (CAST(:since AS timestamptz) IS NULL OR created_at >= :since)
    AND (CAST(:last_at AS timestamptz) IS NULL
         OR (created_at, organization_id, id) < (:last_at, CAST(:last_of AS text), CAST(:last_id AS uuid)))
"""
_NEWEST = "ORDER BY created_at DESC, organization_id DESC, id DESC LIMIT :limit"
_TO = text(
    f"""
    SELECT organization_id, id FROM messages
    WHERE recipient = :recipient {_NARROWED} {_NEWEST}
    """  # noqa: S608 - of constants
)
_WITH_SID = text(
    f"""
    WITH named AS MATERIALIZED (
        SELECT organization_id, id FROM messages WHERE provider_sid = :sid
        UNION SELECT organization_id, message_id FROM attempts WHERE provider_sid = :sid
    )
    SELECT organization_id, id FROM messages JOIN named USING (organization_id, id)
    WHERE (CAST(:recipient AS text) IS NULL OR recipient = :recipient) {_NARROWED} {_NEWEST}
    """  # noqa: S608 - of constants
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """At least one of `sid`, which may be an earlier attempt's, and `recipient` is given."""

    sid: str | None = None
    recipient: str | None = None
    since: datetime | None = None


Place = tuple[datetime, str, UUID]


async def page(
    conn: AsyncConnection, sought: Sought, *, last: Place | None, limit: int
) -> list[Message]:
    """The newest first; those behind `last`, if it is given."""
    last_at, last_of, last_id = last or (None, None, None)
    params = {
        "recipient": sought.recipient,
        "since": sought.since,
        "last_at": last_at,
        "last_of": last_of,
        "last_id": last_id,
        "limit": limit,
    }
    if sought.sid is not None:
        rows = await conn.execute(_WITH_SID, params | {"sid": sought.sid})
    else:
        rows = await conn.execute(_TO, params)
    ids = [(row.organization_id, row.id) for row in rows]
    found = {
        (message.organization_id, message.id): message
        for message in await messages.of_several(conn, ids)
    }
    return [found[id_] for id_ in ids]
