"""Reads the ledger: entries by their references, or a page of entries. It moves no money;
`db/wallet/wallets` does.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.wallet import ledger_entries
from domain.wallet.entries import Entry, EntryKind

_ENTRY = (
    ledger_entries.c.seq,
    ledger_entries.c.kind,
    ledger_entries.c.amount_micros,
    ledger_entries.c.balance_after_micros,
    ledger_entries.c.reference_id,
    ledger_entries.c.refunds,
    ledger_entries.c.description,
    ledger_entries.c.created_at,
)
_FIRST_AT = text(
    """
    WITH RECURSIVE search (low, high) AS (
        SELECT CAST(1 AS bigint), entries + 1 FROM wallets WHERE organization_id = :organization_id
        UNION ALL
        SELECT CASE WHEN e.created_at < :at THEN e.seq + 1 ELSE low END,
               CASE WHEN e.created_at < :at THEN high ELSE e.seq END
        FROM search JOIN ledger_entries e
          ON e.organization_id = :organization_id AND e.seq = (low + high) / 2
        WHERE low < high
    )
    SELECT max(low) FROM search
    """
)


@dataclass(frozen=True, slots=True)
class Booked:
    """A ledger entry with the time at which it was booked."""

    entry: Entry
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    kind: EntryKind | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def find(conn: AsyncConnection, organization_id: str, reference_id: str) -> Entry | None:
    """The entry with the reference."""
    found = await by_references(conn, organization_id, [reference_id])
    return found[reference_id].entry if found else None


async def by_references(
    conn: AsyncConnection, organization_id: str, reference_ids: Collection[str]
) -> dict[str, Booked]:
    query = select(*_ENTRY).where(
        ledger_entries.c.organization_id == organization_id,
        ledger_entries.c.reference_id.in_(reference_ids),
    )
    return {row.reference_id: _booked(row) for row in await conn.execute(query)}


async def page(
    conn: AsyncConnection,
    organization_id: str,
    filters: Filters | None = None,
    *,
    before_seq: int | None,
    limit: int,
) -> list[Booked]:
    """The newest entries first, below `before_seq` if given."""
    filters = filters or Filters()
    query = select(*_ENTRY).where(ledger_entries.c.organization_id == organization_id)
    if before_seq is not None:
        query = query.where(ledger_entries.c.seq < before_seq)
    if filters.kind is not None:
        # written out, so that the predicate of an index is seen to hold
        query = query.where(ledger_entries.c.kind == literal_column(f"'{filters.kind.value}'"))
    if (after := filters.created_after) is not None:
        first = await _first_at(conn, organization_id, after)
        query = query.where(ledger_entries.c.seq >= first, ledger_entries.c.created_at > after)
    if (before := filters.created_before) is not None:
        first = await _first_at(conn, organization_id, before)
        query = query.where(ledger_entries.c.seq < first)
    rows = await conn.execute(query.order_by(ledger_entries.c.seq.desc()).limit(limit))
    return [_booked(row) for row in rows]


async def _first_at(conn: AsyncConnection, organization_id: str, at: datetime) -> int:
    """The sequence number from which on entries were booked at that time or later. A wallet's
    entries are booked one after the other, so it is found by halving.
    """
    params = {"organization_id": organization_id, "at": at}
    first: int | None = (await conn.execute(_FIRST_AT, params)).scalar_one()
    return 1 if first is None else first


def _booked(row: Any) -> Booked:
    seq, kind, amount_micros, balance_after_micros, reference_id, refunds, description, at = row
    entry = Entry(
        seq=seq,
        kind=EntryKind(kind),
        amount_micros=amount_micros,
        balance_after_micros=balance_after_micros,
        reference_id=reference_id,
        refunds=refunds,
        description=description,
    )
    return Booked(entry, at)
