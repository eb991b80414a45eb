"""What an organization owes: payers got it back, and it was spent.

A block stands while anything is owed; it is placed and lifted in the transaction that changes the
debt. Each function that moves money locks the standing, then the wallet; the caller commits.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import decisions
from db.lifecycle import standings
from db.lifecycle.standings import HeldBlock
from db.tables.billing import reversals
from db.wallet import money_changes, wallets
from db.wallet.money_changes import MoneyChange
from domain.alerts import AlertKind
from domain.lifecycle.standing import Block
from domain.money import Money
from domain.wallet import refusals
from domain.wallet.entries import Posting, recovery
from domain.wallet.ledger import Posted, Wallet

RECEIVABLE = "receivable"
"""The reference of the block for debts from reversals."""
LEFT_OWED = "payers got back more than the wallet held; the rest is owed"
_STANDS = (reversals.c.payment_kind == "topup") & reversals.c.returned_at.is_(None)
_UNCOVERED = (
    reversals.c.amount_micros
    - reversals.c.taken_micros
    - reversals.c.recovered_micros
    - reversals.c.waived_micros
)
OWED = case((_STANDS, func.greatest(0, _UNCOVERED)), else_=0).label("owed")
"""What is still owed for a reversal."""
_OF = reversals.c.organization_id == bindparam("of_organization", type_=Text)
_IS_OWED = (_OF, _STANDS, _UNCOVERED > 0)
_OWING = (
    select(reversals, OWED).where(*_IS_OWED).order_by(reversals.c.booked_at, reversals.c.object_id)
)
_SUM_OWED = select(func.coalesce(func.sum(_UNCOVERED), 0)).where(*_IS_OWED)
THIS = (
    _OF,
    reversals.c.provider == bindparam("of_provider", type_=Text),
    reversals.c.object_id == bindparam("of_object", type_=Text),
)


class NotBooked(Exception):
    """The ledger refused the entry: another one has its reference. The transaction must be rolled
    back.
    """


async def recover(conn: AsyncConnection, organization_id: str, *, now: datetime) -> bool:
    """Recover what is owed from the available balance, oldest first; returns whether anything
    changed.
    """
    if await owed(conn, organization_id) == 0:
        return False
    await standings.lock(conn, organization_id)
    recovered = await collect(conn, organization_id)
    await agree(conn, organization_id, now)
    return recovered


async def waive(conn: AsyncConnection, organization_id: str, *, by: str, now: datetime) -> None:
    """Forgive what is owed, on behalf of an operator. Locks the standing, then the wallet; the
    caller commits.
    """
    await standings.lock(conn, organization_id)
    await wallets.lock(conn, organization_id)
    for row in (await conn.execute(_OWING, {"of_organization": organization_id})).all():
        await change(conn, row, waived_micros=row.waived_micros + row.owed)
        of = f"{row.provider}:{row.object_id}"
        await money_changes.note(
            conn, organization_id, MoneyChange.DEBT_WAIVED, of, row.owed, by=by
        )
    await agree(conn, organization_id, now)


async def owed(conn: AsyncConnection, organization_id: str) -> int:
    """The debt in micros of the wallet's currency, including changes of this transaction."""
    return int((await conn.execute(_SUM_OWED, {"of_organization": organization_id})).scalar_one())


async def collect(conn: AsyncConnection, organization_id: str) -> bool:
    """The caller holds the standing. What the ledger refuses stays owed, with an alert."""
    wallet = await wallets.lock(conn, organization_id)
    left = 0 if wallet is None else wallet.available_micros
    parts: list[tuple[Any, Posting]] = []
    for row in await conn.execute(_OWING, {"of_organization": organization_id}):
        micros = min(row.owed, left)
        if wallet is None or micros <= 0:
            break
        left -= micros
        name = f"recovery:{row.provider}:{row.object_id}:{row.recoveries + 1}"
        parts.append(
            (
                row,
                recovery(name, Money(micros, wallet.currency), f"debt left by a {row.what}"),
            )
        )
    if wallet is None or not parts:
        return False
    try:
        async with conn.begin_nested():
            await post(conn, wallet, [entry for _, entry in parts])
            for row, entry in parts:
                micros = row.recovered_micros + entry.amount.micros
                await change(conn, row, recovered_micros=micros, recoveries=row.recoveries + 1)
    except NotBooked as problem:
        await alerts.raise_(
            conn, organization_id, AlertKind.REVERSAL_NOT_BOOKED, f"recovery: {problem}"
        )
        return False
    return True


async def post(conn: AsyncConnection, wallet: Wallet, entries: list[Posting]) -> None:
    for outcome in await wallets.post_locked(conn, wallet, entries) if entries else ():
        if not isinstance(outcome, Posted) or outcome.replayed:
            raise NotBooked(refusals.in_words(outcome))


async def agree(conn: AsyncConnection, organization_id: str, now: datetime) -> None:
    """Keep the block exactly while something is owed. The gate shuts in this transaction; the
    reactivation's steps open it.
    """
    micros = await owed(conn, organization_id)
    stands = any(
        (block.kind, block.reference) == (Block.DISPUTE, RECEIVABLE)
        for block in await standings.held_blocks(conn, organization_id)
    )
    if stands is (micros > 0):
        return
    if micros:
        detail = LEFT_OWED
        receivable = HeldBlock(
            kind=Block.DISPUTE, reference=RECEIVABLE, reason=detail, placed_by="tollgate"
        )
        await standings.place_block(conn, organization_id, receivable)
    else:
        detail = "no debt from reversals is left"
        await standings.lift_block(conn, organization_id, Block.DISPUTE, RECEIVABLE)
        await alerts.clear(conn, organization_id, AlertKind.RECEIVABLE)
    await decisions.settle(conn, organization_id, now=now, cause=detail, may_open=not micros)


async def change(conn: AsyncConnection, row: Any, **values: Any) -> None:
    params = {
        "of_organization": row.organization_id,
        "of_provider": row.provider,
        "of_object": row.object_id,
    }
    await conn.execute(update(reversals).where(*THIS).values(**values), params)
