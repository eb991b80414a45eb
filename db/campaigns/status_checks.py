"""Messages whose status must be read at Twilio: callbacks about them are doubtful, or none reported
their end.

Whoever has a subaccount's token can sign callbacks, so no callback refunds; it only causes a read
at Twilio.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.campaigns.telephony import TERMINAL, DeliveryStatus

ORGANIZATIONS, EACH = 100, 200
"""The size of one pass: how many organizations, and how many messages of each."""
SOON = timedelta(minutes=1)
UNDECIDED_AFTER, GIVEN_UP_AFTER = timedelta(hours=4), timedelta(days=3)
_SLOWLY = 9
"""The initial tries of an unurgent check: it is repeated after half an hour, not after two seconds.
"""

_ADD = text(
    """
    INSERT INTO status_checks (organization_id, message_id, attempt, message_sid, told)
    SELECT DISTINCT ON (organization_id, message_id, message_sid)
           organization_id, message_id, attempt, message_sid, told
    FROM unnest(CAST(:organizations AS text[]), CAST(:ids AS uuid[]), CAST(:attempts AS integer[]),
                CAST(:sids AS text[]), CAST(:told AS text[]))
         AS t (organization_id, message_id, attempt, message_sid, told)
    ORDER BY organization_id, message_id, message_sid
    ON CONFLICT (organization_id, message_id, message_sid) DO UPDATE
    SET told = excluded.told, tries = 0, next_at = clock_timestamp()
    WHERE status_checks.told IS DISTINCT FROM excluded.told
    """
)
_EARLIEST = text("SELECT min(next_at) FROM status_checks")
"""Most of the time nothing is due; the statement that takes what is due is planned anew each time."""
_TAKE = text(
    """
    WITH waiting AS (
        SELECT organization_id FROM status_checks
        WHERE next_at <= :now AND organization_id <> ALL(CAST(:but AS text[]))
        GROUP BY organization_id ORDER BY min(next_at) LIMIT :organizations
    ), due AS MATERIALIZED (
        SELECT c.* FROM waiting CROSS JOIN LATERAL (
            SELECT * FROM status_checks s WHERE s.organization_id = waiting.organization_id AND s.next_at <= :now
            ORDER BY s.next_at LIMIT :each FOR UPDATE SKIP LOCKED
        ) c
    )
    UPDATE status_checks s
    SET tries = s.tries + 1,
        next_at = :now + least(interval '2 seconds' * (1 << least(s.tries, 14)), interval '6 hours')
    FROM due
    WHERE s.organization_id = due.organization_id AND s.message_id = due.message_id
      AND s.message_sid = due.message_sid
    RETURNING s.organization_id, s.message_id, s.attempt, s.message_sid, s.told, s.since
    """
)
_DONE = text(
    """
    DELETE FROM status_checks s
    USING unnest(CAST(:ids AS uuid[]), CAST(:sids AS text[])) AS t (message_id, message_sid)
    WHERE s.organization_id = :organization_id AND s.message_id = t.message_id AND s.message_sid = t.message_sid
    """
)
_SOON = text(
    """
    UPDATE status_checks s SET next_at = least(s.next_at, :soon), tries = greatest(s.tries - 1, 0)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:sids AS text[])) AS t (message_id, message_sid)
    WHERE s.organization_id = :organization_id AND s.message_id = t.message_id AND s.message_sid = t.message_sid
    """
)
_ADD_UNDECIDED = text(
    """
    WITH RECURSIVE unpriced AS (  -- from one organization in the index to the next
        (SELECT organization_id FROM messages
         WHERE provider_sid IS NOT NULL AND provider_price_micros IS NULL ORDER BY organization_id LIMIT 1)
        UNION ALL
        SELECT (SELECT organization_id FROM messages m
                WHERE provider_sid IS NOT NULL AND provider_price_micros IS NULL
                  AND m.organization_id > unpriced.organization_id ORDER BY organization_id LIMIT 1)
        FROM unpriced WHERE organization_id IS NOT NULL
    )
    INSERT INTO status_checks (organization_id, message_id, attempt, message_sid, tries)
    SELECT m.organization_id, m.id, m.attempt, m.provider_sid, :tries
    FROM unpriced u CROSS JOIN LATERAL (
        SELECT * FROM messages m
        WHERE m.organization_id = u.organization_id AND m.provider_sid IS NOT NULL AND m.provider_price_micros IS NULL
          AND m.sending_at BETWEEN :since AND :before AND m.status = 'accepted'
          AND (m.delivery_status IS NULL OR m.delivery_status <> ALL(CAST(:ends AS text[]))
               OR NOT m.sid_confirmed AND m.problem IS NULL)
          AND NOT EXISTS (SELECT 1 FROM status_checks s
                          WHERE s.organization_id = m.organization_id AND s.message_id = m.id)
        ORDER BY m.sending_at LIMIT :each
    ) m
    ON CONFLICT DO NOTHING
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A message to read at Twilio by its sid. `reported` is the status in a callback, None if there
    was none.
    """

    organization_id: str
    message_id: UUID
    attempt: int
    message_sid: str
    reported: DeliveryStatus | None = None
    since: datetime | None = None


async def add(conn: AsyncConnection, checks: Sequence[Check]) -> None:
    """Have messages read as soon as possible; a repeated check counts only if the callback differs.
    The caller commits.
    """
    if checks:
        await conn.execute(
            _ADD,
            {
                "organizations": [check.organization_id for check in checks],
                "ids": [check.message_id for check in checks],
                "attempts": [check.attempt for check in checks],
                "sids": [check.message_sid for check in checks],
                "told": [check.reported for check in checks],
            },
        )


async def take(
    conn: AsyncConnection, *, now: datetime, but: Collection[str] = ()
) -> dict[str, list[Check]]:
    """The due checks, by organization; each is due again later, at growing intervals, unless it is
    done by then.

    Takes some of every organization that has waited longest, so that none waits for another's;
    skips those in `but`. The caller commits, then reads.
    """
    earliest = (await conn.execute(_EARLIEST)).scalar_one()
    if earliest is None or earliest > now:
        return {}
    params = {"now": now, "organizations": ORGANIZATIONS, "each": EACH, "but": list(but)}
    taken: dict[str, list[Check]] = {}
    for row in await conn.execute(_TAKE, params):
        taken.setdefault(row.organization_id, []).append(
            Check(
                organization_id=row.organization_id,
                message_id=row.message_id,
                attempt=row.attempt,
                message_sid=row.message_sid,
                reported=None if row.told is None else DeliveryStatus(row.told),
                since=row.since,
            )
        )
    return taken


async def done(conn: AsyncConnection, organization_id: str, checks: Collection[Check]) -> None:
    if checks:
        await conn.execute(_DONE, _named(organization_id, checks))


async def put_off(
    conn: AsyncConnection, organization_id: str, checks: Collection[Check], *, now: datetime
) -> None:
    """Retry these checks in a minute, whatever their tries: they could not be read. The caller
    commits.
    """
    if checks:
        await conn.execute(_SOON, _named(organization_id, checks) | {"soon": now + SOON})


def _named(organization_id: str, checks: Collection[Check]) -> dict[str, Any]:
    return {
        "organization_id": organization_id,
        "ids": [check.message_id for check in checks],
        "sids": [check.message_sid for check in checks],
    }


async def add_undecided(conn: AsyncConnection, *, now: datetime) -> int:
    """Add checks of messages handed over hours ago that have no final status, or whose acceptance
    only a callback reports.

    Their last callback may be lost, or the received one forged. Returns how many are new.
    """
    params = {
        "since": now - GIVEN_UP_AFTER,
        "before": now - UNDECIDED_AFTER,
        "ends": [status.value for status in TERMINAL],
        "each": EACH,
        "tries": _SLOWLY,
    }
    return (await conn.execute(_ADD_UNDECIDED, params)).rowcount
