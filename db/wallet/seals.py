"""Seals: a hash over each ledger entry and the seal before it, made afterwards so that no debit
waits.

A wallet's newest seal becomes a link of one chain over all wallets, a *head*, together with the
wallet's changes between its entries. Sealing only adds; `certify` compares.
docs/reference/ledger.md specifies the sealed bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.wallet import ledger_heads
from db.wallet import unsealed_wallets
from db.wallet.unsealed_wallets import NOTHING, Found

WALLETS, ENTRIES = 400, 200
"""The size of a batch: how many wallets, and how many entries of each. A wallet with more waits
again behind the others.
"""
_ONE_AT_A_TIME = 0x73_65_61_6C_73
_FREE = text("SELECT pg_try_advisory_xact_lock(:lock)")
_SEAL = text("""
    WITH behind AS MATERIALIZED (
        SELECT w.organization_id, w.entries, coalesce(head.seq, 0) AS headed, coalesce(top.seq, 0) AS seq,
               coalesce(top.sha256, decode(repeat('00', 32), 'hex')) AS sha256
        FROM unnest(CAST(:wallets AS text[])) AS waiting (id)
        CROSS JOIN LATERAL (  -- one by one: a plan made for few wallets stays right for many
            SELECT organization_id, entries FROM wallets WHERE organization_id = waiting.id LIMIT 1
        ) w LEFT JOIN LATERAL (
            SELECT h.seq FROM ledger_heads h WHERE h.organization_id = w.organization_id ORDER BY h.seq DESC LIMIT 1
        ) head ON true LEFT JOIN LATERAL (
            SELECT s.seq, s.sha256 FROM ledger_seals s WHERE s.organization_id = w.organization_id
            ORDER BY s.seq DESC LIMIT 1
        ) top ON true
        WHERE w.entries > coalesce(head.seq, 0)
    ), tail AS (
        SELECT b.organization_id, e.seq, b.seq + row_number() OVER chain AS expected,
               ledger_chain(b.sha256, e.bytes) OVER chain AS sha256
        FROM behind b CROSS JOIN LATERAL (
            SELECT l.seq, ledger_entry_bytes(l) AS bytes FROM ledger_entries l
            WHERE l.organization_id = b.organization_id AND l.seq > b.seq ORDER BY l.seq LIMIT :entries
        ) e
        WINDOW chain AS (PARTITION BY b.organization_id ORDER BY e.seq ROWS UNBOUNDED PRECEDING)
    ), sealed AS (
        INSERT INTO ledger_seals (organization_id, seq, sha256)
        SELECT organization_id, seq, sha256 FROM tail WHERE seq = expected  -- what lies behind a gap is never sealed
        RETURNING organization_id, seq, sha256
    ), top AS (
        SELECT DISTINCT ON (organization_id) organization_id, seq, sha256 FROM (
            SELECT organization_id, seq, sha256 FROM behind UNION ALL SELECT organization_id, seq, sha256 FROM sealed
        ) tops ORDER BY organization_id, seq DESC
    ), last AS (
        SELECT max(number) AS number, (array_agg(sha256 ORDER BY number DESC))[1] AS sha256
        FROM (SELECT number, sha256 FROM ledger_heads ORDER BY number DESC LIMIT 1) newest
    ), headed AS (
        INSERT INTO ledger_heads (number, organization_id, seq, sha256)
        SELECT coalesce(last.number, 0) + row_number() OVER chain, t.organization_id, t.seq,
               ledger_chain(coalesce(last.sha256, decode(repeat('00', 32), 'hex')),
                            head_bytes(t.organization_id, t.seq, t.sha256, (  -- the history of `wallet_history`,
                                SELECT coalesce(string_agg(gate_change_text(g), '' ORDER BY g.id), '')
                                FROM gate_changes g WHERE g.organization_id = t.organization_id
                                    AND g.after_seq >= b.headed AND g.after_seq < t.seq
                            ) || (  -- a call of which costs as much as sealing an entry
                                SELECT coalesce(string_agg(money_change_text(m), '' ORDER BY m.id), '')
                                FROM money_changes m WHERE m.organization_id = t.organization_id
                                    AND m.after_seq >= b.headed AND m.after_seq < t.seq
                            ))) OVER chain
        FROM top t JOIN behind b USING (organization_id) CROSS JOIN last
        WHERE t.seq > b.headed
        WINDOW chain AS (ORDER BY t.organization_id ROWS UNBOUNDED PRECEDING)
    )
    SELECT b.organization_id, count(s.seq) AS sealed, b.entries > max(s.seq) AS more
    FROM behind b JOIN sealed s USING (organization_id) GROUP BY b.organization_id, b.entries
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
    """The number of unsealed entries, and when the oldest of them was booked."""

    entries: int
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """The number of sealed entries, and what the next pass must be given."""

    entries: int
    found: Found


async def seal(conn: AsyncConnection, before: Found = NOTHING) -> Sealed:
    """Seal one batch of the wallets that wait and of those that were booked on since; nothing while
    another process seals. The caller commits, once for each pass.

    Takes no lock that money waits for. A wallet whose next entry is missing is left out until it is
    booked on again.
    """
    if not (await conn.execute(_FREE, {"lock": _ONE_AT_A_TIME})).scalar_one():
        return Sealed(entries=0, found=before)
    found = await unsealed_wallets.find(conn, before)
    batch, rest = found.waiting[:WALLETS], found.waiting[WALLETS:]
    if not batch:
        return Sealed(entries=0, found=found)
    params = {"wallets": list(batch), "entries": ENTRIES}
    rows = (await conn.execute(_SEAL, params)).all()
    again = tuple(row.organization_id for row in rows if row.more)
    return Sealed(
        entries=sum(row.sealed for row in rows), found=replace(found, waiting=rest + again)
    )


async def unsealed(conn: AsyncConnection) -> Unsealed:
    entries, since = (await conn.execute(_UNSEALED)).one()
    return Unsealed(entries=entries, since=since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link of the chain over all wallets; its hash, in hexadecimal, covers everything sealed
    before it.
    """

    number: int
    sha256: str
    made_at: datetime


async def newest_link(conn: AsyncConnection) -> Link | None:
    query = select(ledger_heads).order_by(ledger_heads.c.number.desc()).limit(1)
    row = (await conn.execute(query)).one_or_none()
    return (
        None
        if row is None
        else Link(number=row.number, sha256=row.sha256.hex(), made_at=row.made_at)
    )


async def links(conn: AsyncConnection, numbers: Sequence[int]) -> dict[int, str]:
    """The hashes of those heads that exist."""
    query = select(ledger_heads.c.number, ledger_heads.c.sha256).where(
        ledger_heads.c.number.in_(numbers)
    )
    return {row.number: row.sha256.hex() for row in await conn.execute(query)}
