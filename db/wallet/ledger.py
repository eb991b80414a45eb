"""Reads the ledger: one entry, or a page of entries. It moves no money; `db/wallet/wallets`
does.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.wallet.entries import Entry, EntryKind

_ONE = text("""
    SELECT seq, kind, amount_micros, balance_after_micros, reference_id, refunds, description
    FROM ledger_entries WHERE organization_id = :organization_id AND reference_id = :reference_id
""")


async def find(conn: AsyncConnection, organization_id: str, reference_id: str) -> Entry | None:
    """The entry with the reference."""
    params = {"organization_id": organization_id, "reference_id": reference_id}
    row = (await conn.execute(_ONE, params)).mappings().one_or_none()
    return None if row is None else Entry(**{**row, "kind": EntryKind(row["kind"])})
