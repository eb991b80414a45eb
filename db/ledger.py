"""The ledger as it is read: one entry, the balance at a time, all entries in order. `db/wallets` alone writes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import wallets
from domain.wallet import Entry, EntryKind

_ONE = text("""
    SELECT seq, kind, amount_micros, balance_after_micros, reference_id, refunds, description
    FROM ledger_entries WHERE organization_id = :organization_id AND reference_id = :reference_id
""")
_AT = text("""
    SELECT seq, balance_after_micros FROM ledger_entries
    WHERE organization_id = :organization_id AND created_at <= :time ORDER BY seq DESC LIMIT 1
""")
_AFTER = text("""
    SELECT e.seq, e.kind, e.amount_micros, e.balance_after_micros, e.reference_id, e.refunds, e.description,
           e.created_at, s.sha256
    FROM ledger_entries e LEFT JOIN ledger_seals s USING (organization_id, seq)
    WHERE e.organization_id = :organization_id AND e.seq > :after AND e.seq <= :to ORDER BY e.seq LIMIT :limit
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceAt:
    """What the wallet held at a time, and how many entries it had."""

    currency: str
    balance_micros: int = 0
    entries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An entry with its time and its seal, which is None for the moment until it is sealed."""

    entry: Entry
    created_at: datetime
    seal: bytes | None


async def find(conn: AsyncConnection, organization_id: str, reference_id: str) -> Entry | None:
    """What the reference stands for."""
    asked = {"organization_id": organization_id, "reference_id": reference_id}
    row = (await conn.execute(_ONE, asked)).mappings().one_or_none()
    return None if row is None else Entry(**{**row, "kind": EntryKind(row["kind"])})


async def balance_at(conn: AsyncConnection, organization_id: str, time: datetime) -> BalanceAt | None:
    """The balance at a time that is over; asked again it is the same. None: no such wallet.

    Waits for postings under way, since they may have taken their time before they are committed; the caller ends the
    transaction.
    """
    wallet = await wallets.watch(conn, organization_id)
    if wallet is None:
        return None
    row = (await conn.execute(_AT, {"organization_id": organization_id, "time": time})).one_or_none()
    if row is None:
        return BalanceAt(currency=wallet.currency)
    return BalanceAt(currency=wallet.currency, balance_micros=row.balance_after_micros, entries=row.seq)


async def page(conn: AsyncConnection, organization_id: str, *, after: int, to: int, limit: int) -> Sequence[Sealed]:
    """The oldest first, those behind seq `after` and up to `to`."""
    asked = {"organization_id": organization_id, "after": after, "to": to, "limit": limit}
    found = []
    for row in (await conn.execute(_AFTER, asked)).mappings():
        fields = dict(row)
        created_at, seal = fields.pop("created_at"), fields.pop("sha256")
        entry = Entry(**{**fields, "kind": EntryKind(fields["kind"])})
        found.append(Sealed(entry=entry, created_at=created_at, seal=bytes(seal) if seal is not None else None))
    return found
