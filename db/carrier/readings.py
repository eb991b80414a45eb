"""When each subaccount's usage is read: a row for each organization, taken by when it is due."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

TAKEN_FOR = timedelta(minutes=5)
"""A reading that ends without a word is due again after this."""
_ADD = text(
    """
    INSERT INTO carrier_readings (organization_id, charged_from, due_at)
    SELECT id, CAST(coalesce(created_at, :now) AT TIME ZONE 'UTC' AS date), :now FROM organizations o
    WHERE NOT EXISTS (SELECT FROM carrier_readings r WHERE r.organization_id = o.id)
    ON CONFLICT DO NOTHING
    """
)
_COUNT = text("SELECT count(*) FROM carrier_readings")
_ADD_ONE = text(
    """
    INSERT INTO carrier_readings (organization_id, charged_from, due_at)
    SELECT id, CAST(coalesce(created_at, :now) AT TIME ZONE 'UTC' AS date), :now FROM organizations
    WHERE id = :organization_id ON CONFLICT DO NOTHING
    """
)
# counting takes as long as there are organizations
_ESTIMATE = text(
    "SELECT CAST(reltuples AS bigint) FROM pg_class WHERE oid = 'carrier_readings'::regclass"
)
_TAKEN = """
    WITH due AS (
        SELECT organization_id FROM carrier_readings WHERE {which} FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE carrier_readings r SET due_at = :until
        WHERE organization_id = ANY(ARRAY(SELECT organization_id FROM due))
        RETURNING r.organization_id, r.charged_from, r.changed_at, r.as_of, r.read_at, r.compared_at
    )
    SELECT taken.*, o.twilio_account_sid, s.status = 'suspended' AS suspended
    FROM taken JOIN organizations o ON o.id = taken.organization_id
         JOIN standings s ON s.organization_id = taken.organization_id
    ORDER BY taken.organization_id
"""
_TAKE = text(_TAKEN.format(which="due_at <= :now ORDER BY due_at LIMIT :limit"))
_TAKE_ONE = text(_TAKEN.format(which="organization_id = :organization_id"))
_NOTE = text(
    """
    UPDATE carrier_readings
    SET due_at = :due_at, read_at = :now, failures = 0, as_of = greatest(as_of, :as_of),
        compared_at = CASE WHEN :compared THEN :now ELSE compared_at END,
        changed_at = CASE WHEN :changed THEN :now ELSE coalesce(changed_at, :now) END
    WHERE organization_id = :organization_id
    """
)
_FAIL = text(
    """
    UPDATE carrier_readings SET failures = failures + 1, due_at = :due_at
    WHERE organization_id = :organization_id RETURNING failures
    """
)
_HURRY = text(
    """
    UPDATE carrier_readings SET due_at = least(due_at, :now)
    WHERE organization_id = :organization_id
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """`as_of`: Twilio's figures were complete up to then at the last reading. Nothing before
    `charged_from` is charged: the organization was not there, or this version was not.
    """

    organization_id: str
    account_sid: str
    charged_from: date
    suspended: bool
    changed_at: datetime | None
    as_of: datetime | None
    read_at: datetime | None
    compared_at: datetime | None


async def add_new(conn: AsyncConnection, *, now: datetime) -> int:
    """Add organizations that have no reading yet, due at once; returns how many there are in all.
    The caller commits.
    """
    await conn.execute(_ADD, {"now": now})
    return int((await conn.execute(_COUNT)).scalar_one())


async def add_one(conn: AsyncConnection, organization_id: str, *, now: datetime) -> int:
    """Add the organization unless it has a reading; returns about how many there are in all. The
    caller commits.
    """
    await conn.execute(_ADD_ONE, {"organization_id": organization_id, "now": now})
    return max(1, int((await conn.execute(_ESTIMATE)).scalar_one()))


async def take(conn: AsyncConnection, *, now: datetime, limit: int) -> list[Due]:
    """Take those that are due, the longest overdue first, so that no other worker reads them
    meanwhile. The caller commits.
    """
    rows = await conn.execute(_TAKE, {"now": now, "until": now + TAKEN_FOR, "limit": limit})
    return [_due(row) for row in rows]


async def take_one(conn: AsyncConnection, organization_id: str, *, now: datetime) -> Due | None:
    """Take one, whether it is due or not; None if another worker takes it just now. The caller
    commits.
    """
    params = {"organization_id": organization_id, "until": now + TAKEN_FOR}
    row = (await conn.execute(_TAKE_ONE, params)).one_or_none()
    return None if row is None else _due(row)


async def note(
    conn: AsyncConnection,
    organization_id: str,
    *,
    now: datetime,
    due_at: datetime,
    as_of: datetime | None,
    changed: bool,
    compared: bool = False,
) -> None:
    """Record a complete reading, in which the sums of all days were `compared` or not. The caller
    commits.
    """
    params = {
        "organization_id": organization_id,
        "now": now,
        "due_at": due_at,
        "as_of": as_of,
        "changed": changed,
        "compared": compared,
    }
    await conn.execute(_NOTE, params)


async def note_failure(conn: AsyncConnection, organization_id: str, *, due_at: datetime) -> int:
    """Returns how many readings have failed in a row. The caller commits."""
    params = {"organization_id": organization_id, "due_at": due_at}
    return int((await conn.execute(_FAIL, params)).scalar_one_or_none() or 0)


async def hurry(conn: AsyncConnection, organization_id: str, *, now: datetime) -> None:
    """Have the usage read now: something was learned that Twilio charges for. The caller commits."""
    await conn.execute(_HURRY, {"organization_id": organization_id, "now": now})


def _due(row: Row[Any]) -> Due:
    return Due(
        organization_id=row.organization_id,
        account_sid=row.twilio_account_sid,
        charged_from=row.charged_from or date.min,
        suspended=row.suspended,
        changed_at=row.changed_at,
        as_of=row.as_of,
        read_at=row.read_at,
        compared_at=row.compared_at,
    )
