"""Reserves of wallets: changed under the wallet's lock, each change noted. No money moves here.

The caller has locked the wallet, or these functions do; the caller commits.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.wallet import money_changes, wallets
from db.wallet.money_changes import MoneyChange
from domain.wallet.ledger import Wallet
from domain.wallet.reserves import Reserve

REFERENCE = "reserve"
"""Of its money changes."""
_OF = text("SELECT wanted_micros, held_micros FROM reserves WHERE organization_id = :of")
_WRITE = text("""
    INSERT INTO reserves (organization_id, wanted_micros, held_micros, changed_at)
    VALUES (:of, :wanted, :held, :now)
    ON CONFLICT (organization_id) DO UPDATE
    SET wanted_micros = excluded.wanted_micros, held_micros = excluded.held_micros,
        changed_at = excluded.changed_at
""")


async def get(conn: AsyncConnection, organization_id: str) -> Reserve:
    row = (await conn.execute(_OF, {"of": organization_id})).one_or_none()
    if row is None:
        return Reserve()
    return Reserve(wanted_micros=row.wanted_micros, held_micros=row.held_micros)


async def want(
    conn: AsyncConnection, organization_id: str, micros: int, *, now: datetime
) -> Reserve:
    """Reserve that much, or as much of it as is available; let go of what is more. Locks the
    wallet's row.
    """
    wallet = await wallets.lock(conn, organization_id)
    before = await get(conn, organization_id)
    if wallet is None or (micros == 0 and before == Reserve()):
        return before
    wanted = Reserve(wanted_micros=micros, held_micros=before.held_micros)
    after = replace(wanted, held_micros=wanted.filled(wallet.available_micros))
    return await _write(conn, wallet, before, after, now)


async def fill(conn: AsyncConnection, organization_id: str, *, now: datetime) -> bool:
    """Reserve what is missing of what is wanted, if it is available; whether anything changed.
    Locks the wallet's row.
    """
    before = await get(conn, organization_id)
    if before.short_micros == 0:
        return False
    return await want(conn, organization_id, before.wanted_micros, now=now) != before


async def spend(conn: AsyncConnection, wallet: Wallet, micros: int, *, now: datetime) -> Wallet:
    """Let go of what a charge that recurs lacks, for this charge. The wallet is locked; returns it
    as it is then.
    """
    before = await get(conn, wallet.organization_id)
    taken = min(before.held_micros, max(0, micros - max(0, wallet.available_micros)))
    if not taken:
        return wallet
    after = Reserve(wanted_micros=before.wanted_micros, held_micros=before.held_micros - taken)
    await _write(conn, wallet, before, after, now)
    locked = await wallets.lock(conn, wallet.organization_id)
    assert locked is not None
    return locked


async def _write(
    conn: AsyncConnection, wallet: Wallet, before: Reserve, after: Reserve, now: datetime
) -> Reserve:
    if after == before:
        return after
    organization_id = wallet.organization_id
    more = after.held_micros - before.held_micros
    if more:
        await wallets.set_aside(conn, wallet, more)
        change = MoneyChange.RESERVE_HELD if more > 0 else MoneyChange.RESERVE_RELEASED
        await money_changes.note(conn, organization_id, change, REFERENCE, abs(more))
    await conn.execute(
        _WRITE,
        {
            "of": organization_id,
            "wanted": after.wanted_micros,
            "held": after.held_micros,
            "now": now,
        },
    )
    return after
