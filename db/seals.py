"""Seals: a hash over each ledger entry and the seal before it, made behind the money's back so that no debit waits.

Sealing only adds; `certify` compares. What is sealed of an entry, byte by byte, is in docs/reference/ledger.md.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

WALLETS, ENTRIES = 100, 500
"""In one batch: so many wallets, and so many entries of each."""
_ONE_AT_A_TIME = 0x73_65_61_6C_73
_FREE = text("SELECT pg_try_advisory_xact_lock(:lock)")
_SEAL = text("""
    WITH behind AS MATERIALIZED (
        SELECT w.organization_id, coalesce(head.seq, 0) AS seq,
               coalesce(head.sha256, decode(repeat('00', 32), 'hex')) AS sha256
        FROM wallets w LEFT JOIN LATERAL (
            SELECT s.seq, s.sha256 FROM ledger_seals s WHERE s.organization_id = w.organization_id
            ORDER BY s.seq DESC LIMIT 1
        ) head ON true
        WHERE w.entries > coalesce(head.seq, 0) LIMIT :wallets
    ), tail AS (
        SELECT b.organization_id, e.seq, b.seq + row_number() OVER chain AS expected,
               ledger_chain(b.sha256, e.bytes) OVER chain AS sha256
        FROM behind b CROSS JOIN LATERAL (
            SELECT l.seq, ledger_entry_bytes(l) AS bytes FROM ledger_entries l
            WHERE l.organization_id = b.organization_id AND l.seq > b.seq ORDER BY l.seq LIMIT :entries
        ) e
        WINDOW chain AS (PARTITION BY b.organization_id ORDER BY e.seq ROWS UNBOUNDED PRECEDING)
    )
    INSERT INTO ledger_seals (organization_id, seq, sha256)
    SELECT organization_id, seq, sha256 FROM tail WHERE seq = expected  -- what lies behind a gap is never sealed
""")
_UNSEALED = text("""
    SELECT coalesce(sum(w.entries - coalesce(head.seq, 0)), 0)::bigint, min(first.created_at)
    FROM wallets w LEFT JOIN LATERAL (
        SELECT s.seq FROM ledger_seals s WHERE s.organization_id = w.organization_id ORDER BY s.seq DESC LIMIT 1
    ) head ON true
    LEFT JOIN ledger_entries first
        ON first.organization_id = w.organization_id AND first.seq = coalesce(head.seq, 0) + 1
    WHERE w.entries > coalesce(head.seq, 0)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """Entries that no seal protects yet, and when the oldest of them was booked."""

    entries: int
    since: datetime | None


async def seal(conn: AsyncConnection) -> int:
    """Seal one batch of what is not sealed yet; how many. 0 also while somebody else seals. The caller commits.

    Takes no lock that money waits for.
    """
    if not (await conn.execute(_FREE, {"lock": _ONE_AT_A_TIME})).scalar_one():
        return 0
    return (await conn.execute(_SEAL, {"wallets": WALLETS, "entries": ENTRIES})).rowcount


async def unsealed(conn: AsyncConnection) -> Unsealed:
    entries, since = (await conn.execute(_UNSEALED)).one()
    return Unsealed(entries=entries, since=since)
