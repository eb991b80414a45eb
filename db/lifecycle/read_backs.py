"""Which suspended subaccounts are to be read back now: in their first hour, more and more seldom."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.lifecycle import read_back

_BEGIN = text(
    """
    INSERT INTO read_backs (organization_id, suspended_at, due_at) VALUES (:organization_id, :now, :due_at)
    ON CONFLICT (organization_id) DO UPDATE
    SET suspended_at = excluded.suspended_at, due_at = excluded.due_at
    """
)
_DUE = text(
    """
    SELECT organization_id, suspended_at, standings.status = 'suspended' AS suspended
    FROM read_backs JOIN standings USING (organization_id)
    WHERE due_at <= :now ORDER BY due_at LIMIT :limit FOR UPDATE OF read_backs SKIP LOCKED
    """
)
_NEXT = text(
    """
    WITH next AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:at AS timestamptz[])) AS next (organization_id, at)
    ), over AS (
        DELETE FROM read_backs USING next
        WHERE read_backs.organization_id = next.organization_id AND next.at IS NULL
    )
    UPDATE read_backs SET due_at = next.at FROM next
    WHERE read_backs.organization_id = next.organization_id AND next.at IS NOT NULL
    """
)


async def begin(conn: AsyncConnection, organization_id: str, *, now: datetime) -> None:
    """A suspension is applied. The caller commits."""
    due_at = now + read_back.FIRST_AFTER
    params = {"organization_id": organization_id, "now": now, "due_at": due_at}
    await conn.execute(_BEGIN, params)


async def take(conn: AsyncConnection, *, now: datetime, limit: int) -> list[str]:
    """The organizations that are due, the longest first; each is due again later, so that no other
    worker takes it. Those that are active by now are forgotten. The caller commits.
    """
    due = (await conn.execute(_DUE, {"now": now, "limit": limit})).all()
    if due:
        following = [
            read_back.next_at(row.suspended_at, now) if row.suspended else None for row in due
        ]
        params = {"ids": [row.organization_id for row in due], "at": following}
        await conn.execute(_NEXT, params)
    return [row.organization_id for row in due if row.suspended]
