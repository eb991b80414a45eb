"""Messages that Twilio has, and that no message here stands for or paid: named until a person
closes them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.tables.recovery import unmatched_messages
from domain.alerts import AlertKind

_NOTE = text(
    """
    INSERT INTO unmatched_messages
        (organization_id, message_sid, problem, listed, message_id, created_at)
    SELECT * FROM unnest(CAST(:organizations AS text[]), CAST(:sids AS text[]), CAST(:problems AS text[]),
                         CAST(:listed AS boolean[]), CAST(:ids AS uuid[]), CAST(:created AS timestamptz[]))
    ON CONFLICT (organization_id, message_sid) DO UPDATE
    SET problem = excluded.problem, listed = true, message_id = excluded.message_id,
        created_at = excluded.created_at
    WHERE excluded.listed AND unmatched_messages.closed_at IS NULL
      AND (excluded.message_id IS NOT NULL OR unmatched_messages.message_id IS NULL)
    RETURNING organization_id, message_sid
    """
)
_MATCHED = text(
    """
    UPDATE unmatched_messages
    SET closed_at = clock_timestamp(), closed_by = 'tollgate', closed_because = 'it is matched and paid'
    WHERE organization_id = :organization_id AND message_sid = ANY(CAST(:sids AS text[])) AND closed_at IS NULL
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """`listed` by Twilio itself; otherwise only a callback, which may be forged, reported it.
    `message_id` is our message, if it was found and only could not be paid.
    """

    organization_id: str
    message_sid: str
    problem: str
    listed: bool = False
    message_id: UUID | None = None
    created_at: datetime | None = None


async def note(conn: AsyncConnection, found: Sequence[Unmatched]) -> None:
    """Name them, and raise an alert for each organization where one is new. What Twilio lists
    replaces what a callback reported. The caller commits.
    """
    if not found:
        return
    ordered = sorted(found, key=lambda each: (each.organization_id, each.message_sid))
    params = {
        "organizations": [each.organization_id for each in ordered],
        "sids": [each.message_sid for each in ordered],
        "problems": [each.problem for each in ordered],
        "listed": [each.listed for each in ordered],
        "ids": [each.message_id for each in ordered],
        "created": [each.created_at for each in ordered],
    }
    named: dict[str, list[str]] = {}
    for row in await conn.execute(_NOTE, params):
        named.setdefault(row.organization_id, []).append(row.message_sid)
    for organization_id, sids in sorted(named.items()):
        detail = f"{len(sids)} messages at Twilio are not known here: {', '.join(sids[:5])}"
        await alerts.raise_(conn, organization_id, AlertKind.MESSAGE_UNMATCHED, detail)


async def open_ones(conn: AsyncConnection, organization_id: str) -> list[Unmatched]:
    """The oldest first."""
    query = (
        select(unmatched_messages)
        .where(unmatched_messages.c.organization_id == organization_id)
        .where(unmatched_messages.c.closed_at.is_(None))
        .order_by(unmatched_messages.c.found_at, unmatched_messages.c.message_sid)
    )
    return [
        Unmatched(
            organization_id=row.organization_id,
            message_sid=row.message_sid,
            problem=row.problem,
            listed=row.listed,
            message_id=row.message_id,
            created_at=row.created_at,
        )
        for row in await conn.execute(query)
    ]


async def number_open(conn: AsyncConnection) -> int:
    query = select(func.count()).where(unmatched_messages.c.closed_at.is_(None))
    number: int = (await conn.execute(query)).scalar_one()
    return number


async def closed(
    conn: AsyncConnection, organization_id: str, sids: Collection[str]
) -> frozenset[str]:
    """Those of `sids` that were named before and are closed."""
    query = select(unmatched_messages.c.message_sid).where(
        unmatched_messages.c.organization_id == organization_id,
        unmatched_messages.c.message_sid.in_(sids),
        unmatched_messages.c.closed_at.is_not(None),
    )
    return frozenset((await conn.execute(query)).scalars())


async def mark_matched(conn: AsyncConnection, organization_id: str, sids: Collection[str]) -> None:
    """Close those with these sids, which have been matched and paid. The caller commits."""
    await conn.execute(_MATCHED, {"organization_id": organization_id, "sids": list(sids)})
    await _clear_alert(conn, organization_id)


async def close(
    conn: AsyncConnection, organization_id: str, sid: str, *, by: str, because: str
) -> bool:
    """Close one because a person has resolved it; returns whether it was open. The caller
    commits.
    """
    closing = (
        update(unmatched_messages)
        .where(unmatched_messages.c.organization_id == organization_id)
        .where(unmatched_messages.c.message_sid == sid, unmatched_messages.c.closed_at.is_(None))
        .values(closed_by=by, closed_because=because, closed_at=func.clock_timestamp())
    )
    if not (await conn.execute(closing)).rowcount:
        return False
    await _clear_alert(conn, organization_id)
    return True


async def _clear_alert(conn: AsyncConnection, organization_id: str) -> None:
    if not await open_ones(conn, organization_id):
        await alerts.clear(conn, organization_id, AlertKind.MESSAGE_UNMATCHED)
