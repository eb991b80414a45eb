"""Organizations whose lifecycle has work to do and was not notified, or did not answer.

A notification that Temporal accepted is durable, so it is repeated late and at growing intervals:
under load, repeating it only makes everybody wait longer. A failed notification is repeated soon.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.columns import written_limit

BEHIND_FOR = timedelta(minutes=1)
SOON = timedelta(seconds=5)

_DUE = text(
    """
    WITH due AS (
        SELECT id, organization_id FROM inbox
        WHERE status = 'unhandled' AND (next_attempt_at <= :now OR :everything)
        ORDER BY next_attempt_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), rung AS (
        UPDATE inbox i SET attempts = attempts + 1,
            next_attempt_at = :now + least(interval '1 minute' * (1 << least(attempts, 10)), interval '30 minutes')
        FROM due WHERE i.id = due.id
    )
    SELECT DISTINCT organization_id FROM due
    """
)
_BEHIND = text(
    """
    WITH behind AS MATERIALIZED (  -- each half by its own index
        SELECT organization_id FROM standings
        WHERE applied_epoch < epoch AND (:everything OR rung_at = 'epoch' OR (
                  decided_at < :behind_since
                  AND (rung_at IS NULL OR rung_at <= decided_at
                       OR :now - rung_at > least(rung_at - decided_at, interval '10 minutes'))))
        ORDER BY decided_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), due AS MATERIALIZED (
        SELECT organization_id FROM standings
        WHERE deadline <= :now AND (:everything OR coalesce(rung_at, '-infinity') < :behind_since)
        ORDER BY deadline LIMIT :limit FOR UPDATE SKIP LOCKED
    ), ringing AS (
        SELECT organization_id FROM behind UNION SELECT organization_id FROM due
    )
    UPDATE standings SET rung_at = :now WHERE organization_id = ANY(ARRAY(SELECT organization_id FROM ringing))
    RETURNING organization_id
    """
)
_DELIVERIES_SOON = text(
    """
    UPDATE inbox SET next_attempt_at = :soon WHERE id IN (
        SELECT id FROM inbox WHERE status = 'unhandled' AND organization_id = ANY(:ids) FOR UPDATE SKIP LOCKED)
    """
)
_STANDINGS_SOON = text(
    """
    UPDATE standings SET rung_at = NULL WHERE organization_id IN (
        SELECT organization_id FROM standings WHERE organization_id = ANY(:ids) FOR UPDATE SKIP LOCKED)
    """
)
_STANDING_NOW = text(
    """
    UPDATE standings SET rung_at = 'epoch' WHERE organization_id = :organization_id AND applied_epoch < epoch
    """
)
_OWING = text(
    """
    SELECT organization_id FROM (
        SELECT organization_id FROM reversals
        WHERE payment_kind = 'topup' AND returned_at IS NULL
          AND taken_micros + recovered_micros + waived_micros < amount_micros  -- as the index has it
        UNION SELECT organization_id FROM carrier_debts
        WHERE recovered_micros + waived_micros < amount_micros
        UNION SELECT organization_id FROM standings  -- whose wallet was empty
        WHERE 'funds'::text = ANY (blocks)
        UNION SELECT organization_id FROM reserves
        WHERE held_micros < wanted_micros
    ) owing CROSS JOIN LATERAL (  -- one by one, however many are expected
        SELECT FROM wallets w
        WHERE w.organization_id = owing.organization_id AND balance_micros > held_micros
        OFFSET 0) able
    LIMIT :limit
    """
).bindparams(written_limit())


async def organizations(
    conn: AsyncConnection, *, now: datetime, limit: int, everything: bool = False
) -> list[str]:
    """The organizations to notify now; each is due again later, at growing intervals. The caller
    commits, then notifies.

    `everything` includes those notified before, for a Temporal server that may have lost
    notifications.
    """
    due = await conn.execute(_DUE, {"now": now, "limit": limit, "everything": everything})
    params = {
        "now": now,
        "behind_since": now - BEHIND_FOR,
        "limit": limit,
        "everything": everything,
    }
    behind = await conn.execute(_BEHIND, params)
    return sorted({row.organization_id for row in due} | {row.organization_id for row in behind})


async def notify_soon(
    conn: AsyncConnection, organization_ids: Collection[str], *, now: datetime
) -> None:
    """Notifying these failed: they are due again in seconds. The caller commits.

    Waits for no lock: a locked organization is being worked on.
    """
    ids = list(organization_ids)
    await conn.execute(_DELIVERIES_SOON, {"ids": ids, "soon": now + SOON})
    await conn.execute(_STANDINGS_SOON, {"ids": ids})


async def notify_now(conn: AsyncConnection, organization_id: str) -> None:
    """What this transaction decided is due at once: it is not known that anybody will notify it
    after the commit. The caller holds the standing.
    """
    await conn.execute(_STANDING_NOW, {"organization_id": organization_id})


async def owing(conn: AsyncConnection, *, limit: int) -> list[str]:
    """Organizations that owe, lack a part of their reserve or were suspended for an empty wallet, and
    have money available.
    """
    return list((await conn.execute(_OWING, {"limit": limit})).scalars())
