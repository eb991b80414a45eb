"""The only code that moves money: every balance change happens here, under the wallet's row lock,
with its entry.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from sqlalchemy import BigInteger, Text, bindparam, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import log
from db.pipeline import own, together
from db.tables.recovery import fences
from db.tables.wallet import wallets
from db.wallet import ledger, statements
from domain.events.catalogue import EventType
from domain.money import LARGEST_MICROS
from domain.wallet.entries import Entry, EntryKind, Posting
from domain.wallet.ledger import Outcome, Wallet, WalletNotFound, posted, settle

_WALLET = (
    wallets.c.organization_id,
    wallets.c.currency,
    wallets.c.balance_micros,
    wallets.c.entries,
    wallets.c.gate_open,
    wallets.c.frozen_by_suspension,
    wallets.c.frozen_by_operator,
    wallets.c.freeze_reason,
    wallets.c.held_micros,
    exists().where(fences.c.opened_at.is_(None)).label("fenced"),
)
_AS_COMMITTED = select(*_WALLET).where(
    wallets.c.organization_id == bindparam("organization_id", type_=Text)
)
_LOCKED = _AS_COMMITTED.with_for_update()
_WATCHED = _AS_COMMITTED.with_for_update(read=True)
_SET_ASIDE = (
    update(wallets)
    .where(wallets.c.organization_id == bindparam("of", type_=Text))
    .values(held_micros=bindparam("held", type_=BigInteger))
)


async def open_wallet(conn: AsyncConnection, organization_id: str, currency: str) -> None:
    """Create the empty wallet of a new organization. The caller commits."""
    await conn.execute(insert(wallets).values(organization_id=organization_id, currency=currency))


async def get(conn: AsyncConnection, organization_id: str) -> Wallet | None:
    """The wallet as last committed; no decision may be based on it."""
    row = (await conn.execute(_AS_COMMITTED, {"organization_id": organization_id})).one_or_none()
    return None if row is None else _wallet(row)


async def lock(conn: AsyncConnection, organization_id: str) -> Wallet | None:
    """Lock the wallet's row until the end of the transaction. No other row is locked after it."""
    row = (await conn.execute(_LOCKED, {"organization_id": organization_id})).one_or_none()
    return None if row is None else _wallet(row)


async def watch(conn: AsyncConnection, organization_id: str) -> Wallet | None:
    """Lock the wallet's row in share mode: no gate shuts before this transaction ends."""
    row = (await conn.execute(_WATCHED, {"organization_id": organization_id})).one_or_none()
    return None if row is None else _wallet(row)


async def post(
    conn: AsyncConnection, organization_id: str, postings: Sequence[Posting]
) -> list[Outcome]:
    """Book each posting, once per reference, in order, or refuse it; returns one outcome for each.

    Locks the wallet's row. The caller commits; no other row is locked after it.
    """
    return (await post_all(conn, {organization_id: postings}))[organization_id]


async def post_all(
    conn: AsyncConnection, requests: Mapping[str, Sequence[Posting]], *, wait: bool = True
) -> dict[str, list[Outcome]]:
    """The same for many wallets in two round trips, however long the lists are; each list is
    decided separately.

    Locks the wallets' rows in the order of their ids. With `wait` false, wallets whose row is
    locked elsewhere are missing from the result, like wallets that do not exist. The caller
    commits.
    """
    async with together(conn) as driver:
        locked = await driver.execute(
            statements.LOCK if wait else statements.LOCK_FREE, (list(requests),)
        )
        existing = await _query_existing(driver, requests)
        wallets = {row[0]: _wallet(row) for row in await locked.fetchall()}
        books = await _read_existing(existing)
    outcomes, entries = _settle(wallets, books, requests)
    if wait:
        outcomes |= {
            id_: [WalletNotFound(id_)] * len(requests[id_])
            for id_ in requests.keys() - wallets.keys()
        }
    await _write(conn, wallets, entries)
    return outcomes


async def post_alone(
    conn: AsyncConnection, organization_id: str, posting: Posting
) -> Outcome | None:
    """Book one posting in one statement, if nothing prevents it. None: `post_all` finds the reason.
    Never waits.

    On an autocommit connection it takes one round trip, otherwise the caller commits.
    """
    if posting.refunds is not None:
        return None
    params = {
        "id": organization_id,
        "currency": posting.amount.currency,
        "kind": posting.kind.value,
        "amount": posting.signed_micros,
        "least": max(-posting.signed_micros, 0),
        "most": LARGEST_MICROS - max(posting.signed_micros, 0),
        "reference": posting.reference_id,
        "description": posting.description,
    }
    is_credit = posting.kind is EntryKind.CREDIT
    statement = statements.CREDIT_ALONE if is_credit else statements.ALONE
    async with own(conn) as driver:
        booked = await (await driver.execute(statement, params)).fetchone()
    return (
        None if booked is None else posted(posting, seq=booked[0], balance_after_micros=booked[1])
    )


async def post_locked(
    conn: AsyncConnection, wallet: Wallet, postings: Sequence[Posting]
) -> list[Outcome]:
    """The same for a wallet that this transaction has locked, as `lock` returned it."""
    requests = {wallet.organization_id: postings}
    async with together(conn) as driver:
        books = await _read_existing(await _query_existing(driver, requests))
    wallets = {wallet.organization_id: wallet}
    outcomes, entries = _settle(wallets, books, requests)
    await _write(conn, wallets, entries)
    return outcomes[wallet.organization_id]


async def set_aside(conn: AsyncConnection, wallet: Wallet, micros: int) -> Wallet:
    """Change the reserved amount of a locked wallet by `micros`, which may be negative. The caller
    commits.
    """
    after = replace(wallet, held_micros=wallet.held_micros + micros)
    await conn.execute(_SET_ASIDE, {"of": wallet.organization_id, "held": after.held_micros})
    return after


async def restore_balance(conn: AsyncConnection, organization_id: str) -> Wallet | None:
    """Set a balance that somebody changed past the ledger to what its newest entry says; None
    without that entry. The caller commits.
    """
    wallet = await lock(conn, organization_id)
    if wallet is None:
        return None
    newest = await ledger.page(conn, organization_id, before_seq=None, limit=1)
    if not newest or newest[0].entry.seq != wallet.entries:
        return None
    balance = newest[0].entry.balance_after_micros
    await conn.execute(
        update(wallets)
        .where(wallets.c.organization_id == organization_id)
        .values(balance_micros=balance)
    )
    return replace(wallet, balance_micros=balance)


async def _query_existing(
    driver: psycopg.AsyncConnection, requests: Mapping[str, Sequence[Posting]]
) -> psycopg.AsyncCursor:
    """The entries that already have the references, and the debits to refund. Queried after the
    lock, so that the result stays valid.
    """
    references = [
        (id_, posting.reference_id) for id_, postings in requests.items() for posting in postings
    ]
    returned = [
        (id_, posting.refunds)
        for id_, postings in requests.items()
        for posting in postings
        if posting.refunds
    ]
    await driver.execute(statements.BY_INDEX)
    return await driver.execute(
        statements.KNOWN, (*_columns(references + returned, 2), *_columns(returned, 2))
    )


async def _read_existing(cursor: psycopg.AsyncCursor) -> dict[str, list[Entry]]:
    books: dict[str, list[Entry]] = {}
    for organization_id, *values in await cursor.fetchall():
        books.setdefault(organization_id, []).append(ledger.entry_of(values))
    return books


def _settle(
    wallets: Mapping[str, Wallet],
    books: Mapping[str, list[Entry]],
    requests: Mapping[str, Sequence[Posting]],
) -> tuple[dict[str, list[Outcome]], dict[str, list[Entry]]]:
    outcomes: dict[str, list[Outcome]] = {}
    entries: dict[str, list[Entry]] = {}
    for id_, wallet in wallets.items():
        book = {entry.reference_id: entry for entry in books.get(id_, ())}
        refunded = frozenset(entry.refunds for entry in book.values() if entry.refunds is not None)
        outcomes[id_], entries[id_] = settle(wallet, book, refunded, requests[id_])
    return outcomes, entries


async def _write(
    conn: AsyncConnection, wallets: Mapping[str, Wallet], entries: Mapping[str, Sequence[Entry]]
) -> None:
    rows = [
        (
            id_,
            entry.seq,
            entry.kind.value,
            entry.amount_micros,
            entry.balance_after_micros,
            entry.reference_id,
            entry.refunds,
            entry.description,
        )
        for id_, new in entries.items()
        for entry in new
    ]
    if not rows:
        return
    last = [(id_, new[-1].balance_after_micros, new[-1].seq) for id_, new in entries.items() if new]
    async with own(conn) as driver:
        await driver.execute(statements.WRITE, (*_columns(rows, 8), *_columns(last, 3)))
    await log.append_all(
        conn,
        EventType.WALLET_CREDITED,
        [
            (id_, _credited(entry, wallets[id_].currency))
            for id_, new in entries.items()
            for entry in new
            if entry.kind is EntryKind.CREDIT
        ],
    )


def _credited(entry: Entry, currency: str) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "reference_id": entry.reference_id,
        "amount_micros": entry.amount_micros,
        "balance_micros": entry.balance_after_micros,
        "currency": currency,
    }


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _wallet(row: Iterable[Any]) -> Wallet:
    """A row of `_WALLET`, and of `LOCK`."""
    return Wallet(**dict(zip((column.name for column in _WALLET), row, strict=True)))
