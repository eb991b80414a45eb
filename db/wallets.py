"""The only code that moves money: every balance change happens here, under the wallet's row lock, with its entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Insert, Text, bindparam, case, insert, literal, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import gate_changes, ledger_entries, wallets
from domain.wallet import Entry, EntryKind, Outcome, Posting, Wallet, WalletNotFound, settle

_WALLET = (
    wallets.c.organization_id,
    wallets.c.currency,
    wallets.c.balance_micros,
    wallets.c.entries,
    wallets.c.gate_open,
    wallets.c.frozen_by_suspension,
    wallets.c.frozen_by_operator,
    wallets.c.freeze_reason,
)
_AS_COMMITTED = select(*_WALLET).where(wallets.c.organization_id == bindparam("organization_id", type_=Text))
_LOCKED = _AS_COMMITTED.with_for_update()
_WATCHED = _AS_COMMITTED.with_for_update(read=True)
_ENTRY = (
    ledger_entries.c.seq,
    ledger_entries.c.kind,
    ledger_entries.c.amount_micros,
    ledger_entries.c.balance_after_micros,
    ledger_entries.c.reference_id,
    ledger_entries.c.refunds,
    ledger_entries.c.description,
)


@dataclass(frozen=True, slots=True)
class Booked:
    """A ledger entry with the time at which it was booked."""

    entry: Entry
    created_at: datetime


async def open_wallet(conn: AsyncConnection, organization_id: str, currency: str) -> None:
    """Create the empty wallet of a new organization. The caller commits."""
    await conn.execute(insert(wallets).values(organization_id=organization_id, currency=currency))


async def get(conn: AsyncConnection, organization_id: str) -> Wallet | None:
    """The wallet as last committed; nothing may be decided on it."""
    row = (await conn.execute(_AS_COMMITTED, {"organization_id": organization_id})).one_or_none()
    return None if row is None else _wallet(row)


async def lock(conn: AsyncConnection, organization_id: str) -> Wallet | None:
    """Lock the wallet's row to the end of the transaction. No other row is locked after it."""
    row = (await conn.execute(_LOCKED, {"organization_id": organization_id})).one_or_none()
    return None if row is None else _wallet(row)


async def watch(conn: AsyncConnection, organization_id: str) -> Wallet | None:
    """Hold the wallet's row still, shared with other watchers: no gate shuts before this transaction ends."""
    row = (await conn.execute(_WATCHED, {"organization_id": organization_id})).one_or_none()
    return None if row is None else _wallet(row)


async def post(conn: AsyncConnection, organization_id: str, postings: Sequence[Posting]) -> list[Outcome]:
    """Book each posting, once per reference, in order, or say why not; one outcome for each.

    Locks the wallet's row. The caller commits; no other row is locked after it.
    """
    wallet = await lock(conn, organization_id)
    if wallet is None:
        return [WalletNotFound(organization_id) for _ in postings]
    return await post_locked(conn, wallet, postings)


async def post_locked(conn: AsyncConnection, wallet: Wallet, postings: Sequence[Posting]) -> list[Outcome]:
    """The same for a wallet that this transaction has locked already, as `lock` returned it."""
    known, refunded = await _known(conn, wallet.organization_id, postings)
    outcomes, entries = settle(wallet, known, refunded, postings)
    if entries:
        await conn.execute(
            insert(ledger_entries), [{"organization_id": wallet.organization_id, **_values(entry)} for entry in entries]
        )
        await conn.execute(
            update(wallets)
            .where(wallets.c.organization_id == wallet.organization_id)
            .values(balance_micros=entries[-1].balance_after_micros, entries=entries[-1].seq)
        )
    return outcomes


async def shut_gate(conn: AsyncConnection, organization_id: str, *, epoch: int, cause: str) -> None:
    """Refuse every debit from this commit on. Locks the wallet's row; the caller holds the standing's. Idempotent."""
    await _change(conn, organization_id, "shut", epoch, cause, "gate_open", to=False)


async def open_gate(conn: AsyncConnection, organization_id: str, *, epoch: int, cause: str) -> None:
    """Let debits through again and lift the suspension's freeze; an operator's freeze stays. Idempotent."""
    await _change(conn, organization_id, "unfrozen_by_suspension", epoch, cause, "frozen_by_suspension", to=False)
    await _change(conn, organization_id, "opened", epoch, cause, "gate_open", to=True)


async def freeze(
    conn: AsyncConnection, organization_id: str, *, epoch: int, cause: str, by_operator: bool = False
) -> None:
    """Freeze the wallet, for the suspension or for an operator: either is enough. Idempotent; the caller commits."""
    column = "frozen_by_operator" if by_operator else "frozen_by_suspension"
    await _change(conn, organization_id, column, epoch, cause, column, to=True)


async def unfreeze_by_operator(conn: AsyncConnection, organization_id: str, *, epoch: int, cause: str) -> None:
    """Lift the operator's freeze; the suspension's stays. Idempotent; the caller commits."""
    await _change(conn, organization_id, "unfrozen_by_operator", epoch, cause, "frozen_by_operator", to=False)


async def entries_page(
    conn: AsyncConnection, organization_id: str, *, before_seq: int | None, limit: int
) -> list[Booked]:
    """The newest entries first, those below `before_seq` if it is given."""
    query = select(*_ENTRY, ledger_entries.c.created_at).where(ledger_entries.c.organization_id == organization_id)
    if before_seq is not None:
        query = query.where(ledger_entries.c.seq < before_seq)
    rows = await conn.execute(query.order_by(ledger_entries.c.seq.desc()).limit(limit))
    return [Booked(_entry(row), row.created_at) for row in rows]


async def _change(
    conn: AsyncConnection, organization_id: str, change: str, epoch: int, cause: str, column: str, *, to: bool
) -> None:
    """Set a flag and note after which entry it changed, in one statement, whose update locks the wallet's row."""
    noted = {"of": organization_id, "at_epoch": epoch, "why": cause}
    await conn.execute(_changing(change, column, to=to), noted)


@cache
def _changing(change: str, column: str, *, to: bool) -> Insert:
    cause = bindparam("why", type_=Text)
    values: dict[str, Any] = {column: to}
    reason = cause if to else null()
    if column == "frozen_by_operator":
        values["freeze_reason"] = reason
    elif column == "frozen_by_suspension":  # an operator's reason outlives a suspension's
        values["freeze_reason"] = case((wallets.c.frozen_by_operator, wallets.c.freeze_reason), else_=reason)
    changed = (
        update(wallets)
        .where(wallets.c.organization_id == bindparam("of", type_=Text), wallets.c[column] != to)
        .values(**values)
        .returning(wallets.c.organization_id, wallets.c.entries)
        .cte("changed")
    )
    noted = select(
        changed.c.organization_id, literal(change), changed.c.entries, bindparam("at_epoch", type_=BigInteger), cause
    )
    return insert(gate_changes).from_select(["organization_id", "change", "after_seq", "epoch", "cause"], noted)


async def _known(
    conn: AsyncConnection, organization_id: str, postings: Sequence[Posting]
) -> tuple[dict[str, Entry], frozenset[str]]:
    debits = [posting.refunds for posting in postings if posting.refunds is not None]
    references = [posting.reference_id for posting in postings] + debits
    rows = await conn.execute(
        select(*_ENTRY)
        .where(ledger_entries.c.organization_id == organization_id)
        .where(or_(ledger_entries.c.reference_id.in_(references), ledger_entries.c.refunds.in_(debits)))
    )
    entries = [_entry(row) for row in rows]
    wanted = set(references)
    return (
        {entry.reference_id: entry for entry in entries if entry.reference_id in wanted},
        frozenset(entry.refunds for entry in entries if entry.refunds is not None),
    )


def _wallet(row: Any) -> Wallet:
    return Wallet(
        organization_id=row.organization_id,
        currency=row.currency,
        balance_micros=row.balance_micros,
        entries=row.entries,
        gate_open=row.gate_open,
        frozen_by_suspension=row.frozen_by_suspension,
        frozen_by_operator=row.frozen_by_operator,
        freeze_reason=row.freeze_reason,
    )


def _entry(row: Any) -> Entry:
    return Entry(
        seq=row.seq,
        kind=EntryKind(row.kind),
        amount_micros=row.amount_micros,
        balance_after_micros=row.balance_after_micros,
        reference_id=row.reference_id,
        refunds=row.refunds,
        description=row.description,
    )


def _values(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "kind": entry.kind.value,
        "amount_micros": entry.amount_micros,
        "balance_after_micros": entry.balance_after_micros,
        "reference_id": entry.reference_id,
        "refunds": entry.refunds,
        "description": entry.description,
    }
