"""Usage triggers: what was made at Twilio, and what fired and is not looked at yet."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import log
from domain.events.catalogue import EventType

COMPARED_EVERY = timedelta(days=1)
WALKED = 500
_DUE = text(
    """
    WITH walked AS MATERIALIZED (
        SELECT id, twilio_account_sid FROM organizations WHERE id > :after ORDER BY id LIMIT :walk
    )
    SELECT due.*, last.last
    FROM (SELECT max(id) AS last FROM walked) last LEFT JOIN LATERAL (
        SELECT walked.*, set_micros, trigger_sid, value_micros, current_micros, fired_at
        FROM walked LEFT JOIN tripwires t ON t.organization_id = walked.id
        WHERE compared_at IS NULL OR compared_at < :compared
        ORDER BY walked.id LIMIT :limit
    ) due ON true
    """
)
_GET = text(
    """
    SELECT id, twilio_account_sid, set_micros, trigger_sid, value_micros, current_micros, fired_at
    FROM organizations LEFT JOIN tripwires ON organization_id = id WHERE id = :organization_id
    """
)
_COMPARE = text(
    """
    INSERT INTO tripwires (organization_id, trigger_sid, value_micros, compared_at)
    VALUES (:organization_id, :sid, :micros, :now)
    ON CONFLICT (organization_id) DO UPDATE
    SET trigger_sid = excluded.trigger_sid, value_micros = excluded.value_micros, compared_at = excluded.compared_at
    """
)
_ADD = text(
    "INSERT INTO tripwires (organization_id) VALUES (:organization_id) ON CONFLICT DO NOTHING"
)
_WAITS = "fired_at IS NOT NULL AND (looked_at IS NULL OR looked_at < fired_at)"
_TOLD = log.appending_sql(EventType.CARRIER_TRIPWIRE_FIRED, "fired", "organization_id", {})
_FIRE = text(
    f"""
    WITH fired AS (
        UPDATE tripwires SET fired_at = :now WHERE organization_id = :organization_id AND NOT ({_WAITS})
        RETURNING organization_id
    )
    {_TOLD}
    """  # noqa: S608 - of constants
)
_FIRE_AGAIN = text("UPDATE tripwires SET fired_at = :now WHERE organization_id = :organization_id")
_LOOK = text(
    """
    UPDATE tripwires SET looked_at = :now, current_micros = :micros WHERE organization_id = :organization_id
    """
)
_SET = text(
    """
    INSERT INTO tripwires (organization_id, set_micros) VALUES (:organization_id, :micros)
    ON CONFLICT (organization_id) DO UPDATE SET set_micros = excluded.set_micros, compared_at = NULL
    """
)
_PENDING = text(
    f"""
    SELECT organization_id FROM tripwires
    WHERE {_WAITS} ORDER BY fired_at LIMIT :limit
    """  # noqa: S608 - of constants
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tripwire:
    """`set_micros` is an operator's value. `current_micros` is what the day had cost when it was
    last looked at, after it fired.
    """

    organization_id: str
    account_sid: str
    set_micros: int | None
    trigger_sid: str | None
    value_micros: int | None
    current_micros: int | None
    fired_at: datetime | None

    def fired_micros(self, now: datetime) -> int | None:
        """What the day had cost when it fired, if that was today (UTC, as Twilio's days are)."""
        if self.fired_at is None or self.fired_at.date() != now.date():
            return None
        return self.current_micros


async def due(
    conn: AsyncConnection, *, after: str, now: datetime, limit: int
) -> tuple[list[Tripwire], str | None]:
    """The next ones to compare with Twilio, by organization, and where to continue."""
    params = {"after": after, "walk": WALKED, "limit": limit, "compared": now - COMPARED_EVERY}
    rows = (await conn.execute(_DUE, params)).all()
    found = [_tripwire(row) for row in rows if row.id is not None]
    return found, found[-1].organization_id if len(found) == limit else rows[0].last


async def get(conn: AsyncConnection, organization_id: str) -> Tripwire | None:
    """None if there is no such organization."""
    row = (await conn.execute(_GET, {"organization_id": organization_id})).one_or_none()
    return None if row is None else _tripwire(row)


async def note_compared(
    conn: AsyncConnection,
    organization_id: str,
    sid: str | None,
    micros: int | None,
    *,
    now: datetime,
) -> None:
    """Note the trigger that Twilio has now. The caller commits."""
    params = {"organization_id": organization_id, "sid": sid, "micros": micros, "now": now}
    await conn.execute(_COMPARE, params)


async def note_fired(conn: AsyncConnection, organization_id: str, *, now: datetime) -> None:
    """It is to be looked at; Twilio may report it several times. The caller commits."""
    params = {"organization_id": organization_id, "now": now}
    await conn.execute(_ADD, {"organization_id": organization_id})
    await conn.execute(_FIRE, params)
    await conn.execute(_FIRE_AGAIN, params)


async def note_looked(
    conn: AsyncConnection, organization_id: str, current_micros: int, *, now: datetime
) -> None:
    """`now` is when the look began: what fired since is looked at again. The caller commits."""
    params = {"organization_id": organization_id, "micros": current_micros, "now": now}
    await conn.execute(_LOOK, params)


async def set_value(conn: AsyncConnection, organization_id: str, micros: int | None) -> None:
    """Set the value, or None for the computed one; the next pass changes the trigger. The caller
    commits.
    """
    await conn.execute(_SET, {"organization_id": organization_id, "micros": micros})


async def pending(conn: AsyncConnection, *, limit: int) -> list[str]:
    """Organizations whose trigger fired and was not looked at yet, the oldest first."""
    return list((await conn.execute(_PENDING, {"limit": limit})).scalars())


def _tripwire(row: Row[Any]) -> Tripwire:
    return Tripwire(
        organization_id=row.id,
        account_sid=row.twilio_account_sid,
        set_micros=row.set_micros,
        trigger_sid=row.trigger_sid,
        value_micros=row.value_micros,
        current_micros=row.current_micros,
        fired_at=row.fired_at,
    )
