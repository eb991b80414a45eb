"""Suspends organizations whose wallets have been empty for too long, where their policy says so.

No debit pays for it: since when a wallet is empty is read from its last entry or hold.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.billing import owed_blocks
from db.lifecycle import organizations, standings

_EMPTY = """
    SELECT o.id, greatest(w.created_at, last_entry.created_at, last_change.at) AS since
    FROM organizations o JOIN wallets w ON w.organization_id = o.id
    LEFT JOIN LATERAL (
        SELECT created_at FROM ledger_entries e WHERE e.organization_id = o.id AND e.seq = w.entries
    ) last_entry ON true
    LEFT JOIN LATERAL (
        SELECT at FROM money_changes m WHERE m.organization_id = o.id ORDER BY m.id DESC LIMIT 1
    ) last_change ON true
    WHERE o.when_empty = 'suspend' AND w.balance_micros <= w.held_micros
"""
_ONE = text(f"{_EMPTY} AND o.id = :organization_id")
_PAGE = """
    SELECT page.id, empty.id IS NOT NULL
           AND empty.since + make_interval(secs => page.empty_grace_seconds) <= :now
           AND NOT EXISTS (SELECT FROM blocks b WHERE b.organization_id = page.id
                           AND b.kind = 'funds' AND b.reference = 'empty') AS due
    FROM (
        SELECT id, empty_grace_seconds FROM organizations
        WHERE when_empty = 'suspend' AND id > :after ORDER BY id LIMIT :limit
    ) page LEFT JOIN LATERAL ({empty} AND o.id = page.id) empty ON true
    ORDER BY page.id
"""
_DUE = text(_PAGE.format(empty=_EMPTY))


async def due(
    conn: AsyncConnection, *, now: datetime, after: str, limit: int
) -> tuple[list[str], str | None]:
    """Of the next organizations with that policy, in order of id, those to suspend; and the last
    one's id, None if there are no more.
    """
    rows = (await conn.execute(_DUE, {"now": now, "after": after, "limit": limit})).all()
    last = rows[-1].id if len(rows) == limit else None
    return [row.id for row in rows if row.due], last


async def empty_since(conn: AsyncConnection, organization_id: str) -> datetime | None:
    """Since when the wallet is empty, where that suspends; otherwise None."""
    row = (await conn.execute(_ONE, {"organization_id": organization_id})).one_or_none()
    return None if row is None else row.since


async def suspend(conn: AsyncConnection, organization_id: str, *, now: datetime) -> bool:
    """Suspend it if its wallet is still empty and its grace period is over. Locks the standing; the
    caller commits.
    """
    await standings.lock(conn, organization_id)
    organization = await organizations.get(conn, organization_id)
    since = await empty_since(conn, organization_id)
    if organization is None or since is None:
        return False
    at = organization.funds.suspends_at(since)
    if at is None or now < at:
        return False
    await owed_blocks.place(conn, organization_id, owed_blocks.EMPTY, now)
    return True
