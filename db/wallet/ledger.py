"""Reads the ledger: entries by their references, or a page of entries. It moves no money;
`db/wallet/wallets` does.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import unknown_values
from domain.wallet.entries import Entry, EntryKind

_ENTRIES = (
    "SELECT seq, kind, amount_micros, balance_after_micros, reference_id, refunds, description,"
    " created_at FROM ledger_entries WHERE organization_id = :organization_id"
)
_BY_REFERENCES = text(f"{_ENTRIES} AND reference_id = ANY(CAST(:reference_ids AS text[]))")
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
    params = {"organization_id": organization_id, "reference_ids": list(reference_ids)}
    rows = await conn.execute(_BY_REFERENCES, params)
    return {row.reference_id: _booked(row) for row in rows}


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
    conditions: list[str] = []
    params: dict[str, Any] = {"organization_id": organization_id, "limit": limit}
    if before_seq is not None:
        conditions.append("seq < :before_seq")
        params["before_seq"] = before_seq
    if filters.kind is not None:
        # written out, so that the predicate of an index is seen to hold
        conditions.append(f"kind = '{filters.kind.value}'")
    if (after := filters.created_after) is not None:
        conditions.append("seq >= :first AND created_at > :after")
        params |= {"first": await _first_at(conn, organization_id, after), "after": after}
    if (before := filters.created_before) is not None:
        conditions.append("seq < :last")
        params["last"] = await _first_at(conn, organization_id, before)
    query = " AND ".join([_ENTRIES, *conditions])
    rows = await conn.execute(text(f"{query} ORDER BY seq DESC LIMIT :limit"), params)
    return [_booked(row) for row in rows]


async def _first_at(conn: AsyncConnection, organization_id: str, at: datetime) -> int:
    """The sequence number from which on entries were booked at that time or later. A wallet's
    entries are booked one after the other, so it is found by halving.
    """
    params = {"organization_id": organization_id, "at": at}
    first: int | None = (await conn.execute(_FIRST_AT, params)).scalar_one()
    return 1 if first is None else first


def _booked(row: Any) -> Booked:
    *values, at = row
    return Booked(entry_of(values), at)


def entry_of(values: Iterable[Any]) -> Entry:
    """From the columns of `ledger_entries` in the order of `Entry`'s fields."""
    seq, kind, amount_micros, balance_after_micros, reference_id, refunds, description = values
    return Entry(
        seq=seq,
        kind=unknown_values.member(EntryKind, kind),
        amount_micros=amount_micros,
        balance_after_micros=balance_after_micros,
        reference_id=reference_id,
        refunds=refunds,
        description=description,
    )
