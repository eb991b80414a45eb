"""How far each subaccount's list of messages was read, and which are to be read now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.lifecycle import organizations

WALKED = 500
BUSY_EVERY = timedelta(minutes=4)
"""Less than the interval of the passes: a busy subaccount is read in each."""
BUSY_FOR = timedelta(days=1)
REST_EVERY = timedelta(minutes=9)
RESTING_PER_SECOND = 5
"""So many readings a second of subaccounts at rest: half of the budget."""
_DUE = text(
    """
    WITH walked AS MATERIALIZED (
        SELECT id, twilio_account_sid, created_at FROM organizations WHERE id > :after ORDER BY id LIMIT :walk
    )
    SELECT due.*, last.last
    FROM (SELECT max(id) AS last FROM walked) last LEFT JOIN LATERAL (
        SELECT walked.*, read_until, page, page_since, page_until
        FROM walked LEFT JOIN message_readings r ON r.organization_id = walked.id
        WHERE read_at IS NULL OR wanted_at > read_at OR read_at < :resting OR page IS NOT NULL
           OR (read_at < :busy
               AND (found_at > :lately OR EXISTS (SELECT FROM messages m WHERE m.organization_id = walked.id
                                                  AND m.sending_at > :lately)))
        ORDER BY walked.id LIMIT :limit
    ) due ON true
    """
)
_NOTE = text(
    """
    INSERT INTO message_readings AS r
        (organization_id, read_until, read_at, found_at, page, page_since, page_until)
    VALUES (:organization_id, CASE WHEN CAST(:page AS text) IS NULL THEN CAST(:until AS timestamptz) END, :now,
            CASE WHEN :found THEN CAST(:now AS timestamptz) END,
            :page, CASE WHEN CAST(:page AS text) IS NOT NULL THEN CAST(:since AS timestamptz) END,
            CASE WHEN CAST(:page AS text) IS NOT NULL THEN CAST(:until AS timestamptz) END)
    ON CONFLICT (organization_id) DO UPDATE
    SET read_until = coalesce(excluded.read_until, r.read_until), read_at = excluded.read_at,
        found_at = coalesce(excluded.found_at, r.found_at), page = excluded.page,
        page_since = excluded.page_since, page_until = excluded.page_until
    """
)
_WANT = text(
    """
    INSERT INTO message_readings (organization_id, wanted_at) VALUES (:organization_id, :now)
    ON CONFLICT (organization_id) DO UPDATE SET wanted_at = excluded.wanted_at
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a reading is: messages since a time are listed, the newest first, and it continues at
    `page`; None: it is complete, and everything before `until` is known.
    """

    page: str | None = None
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An organization whose list of messages is to be read, how far it was read, and a reading that
    is to be continued.
    """

    organization_id: str
    account_sid: str
    created_at: datetime | None
    read_until: datetime | None
    unfinished: Progress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """`after` is where to continue, None at the end."""

    due: tuple[Due, ...]
    after: str | None


async def due(
    conn: AsyncConnection, *, after: str, organizations: int, now: datetime, limit: int
) -> Walked:
    """The next organizations to read, by id. One that sent, or of which a foreign message was
    found, within a day is due in each pass; others at an interval that lets all of them be read.
    """
    resting = max(REST_EVERY, timedelta(seconds=organizations / RESTING_PER_SECOND))
    params = {
        "after": after,
        "walk": WALKED,
        "limit": limit,
        "resting": now - resting,
        "busy": now - BUSY_EVERY,
        "lately": now - BUSY_FOR,
    }
    rows = (await conn.execute(_DUE, params)).all()
    found = tuple(_due(row) for row in rows if row.id is not None)
    following = found[-1].organization_id if len(found) == limit else rows[0].last
    return Walked(due=found, after=following)


async def of_organization(conn: AsyncConnection, organization_id: str) -> Due | None:
    """The organization, whether it is due or not."""
    query = text(
        """
        SELECT id, twilio_account_sid, created_at, read_until, page, page_since, page_until
        FROM organizations LEFT JOIN message_readings ON organization_id = id WHERE id = :organization_id
        """
    )
    row = (await conn.execute(query, {"organization_id": organization_id})).one_or_none()
    return None if row is None else _due(row)


def _due(row: Row[Any]) -> Due:
    unfinished = None
    if row.page is not None:
        unfinished = Progress(page=row.page, since=row.page_since, until=row.page_until)
    return Due(
        organization_id=row.id,
        account_sid=row.twilio_account_sid,
        created_at=row.created_at,
        read_until=row.read_until,
        unfinished=unfinished,
    )


async def number_of_organizations(conn: AsyncConnection) -> int:
    number: int = (await conn.execute(select(func.count()).select_from(organizations))).scalar_one()
    return number


async def note(
    conn: AsyncConnection,
    organization_id: str,
    progress: Progress | None,
    *,
    found: bool,
    now: datetime,
) -> None:
    """Note how far a reading is; None: Twilio refused it, so the next one begins anew. The caller
    commits.
    """
    params = {
        "organization_id": organization_id,
        "page": progress and progress.page,
        "since": progress and progress.since,
        "until": progress and progress.until,
        "found": found,
        "now": now,
    }
    await conn.execute(_NOTE, params)


async def want(conn: AsyncConnection, organization_id: str, *, now: datetime) -> None:
    """Have the next pass read the organization's list. The caller commits."""
    await conn.execute(_WANT, {"organization_id": organization_id, "now": now})
