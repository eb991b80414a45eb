"""Holds: money that is reserved, then captured, released or expired, each once; every change holds
the wallet's lock.

No hold is read before the wallet's row is locked, so concurrent requests are decided one after the
other.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.columns import written
from db.tables.wallet import holds
from db.wallet import ledger, money_changes, wallets
from db.wallet.money_changes import MoneyChange
from domain.money import Money
from domain.wallet.entries import debit
from domain.wallet.holds import (
    BadExpiry,
    Captured,
    CaptureTooLarge,
    Held,
    Hold,
    HoldClosed,
    HoldConflict,
    HoldNotFound,
    HoldStatus,
    Released,
    Reserved,
    expires_well,
)
from domain.wallet.ledger import (
    Conflict,
    Debited,
    Wallet,
    WalletNotFound,
    WrongCurrency,
    cannot_pay,
)


async def reserve(
    conn: AsyncConnection, organization_id: str, hold: Hold, *, now: datetime
) -> Reserved:
    """Reserve the amount, once per reference, or return the refusal. A shut gate and a freeze
    refuse it, like a debit.

    Locks the wallet's row; the caller commits.
    """
    wallet = await _lock(conn, organization_id, now)
    if wallet is None:
        return WalletNotFound(organization_id)
    if hold.amount.currency != wallet.currency:
        return WrongCurrency(wallet.currency)
    before = await _find(conn, wallet, hold.reference_id)
    if before is not None:
        return Held(before, replayed=True) if before.same(hold) else HoldConflict(before)
    entry = await ledger.find(conn, organization_id, hold.reference_id)
    if entry is not None:
        return Conflict(entry)
    if not expires_well(hold, now):
        return BadExpiry()
    refusal = cannot_pay(wallet, wallet.balance_micros, hold.amount.micros)
    if refusal is not None:
        return refusal
    await wallets.set_aside(conn, wallet, hold.amount.micros)
    await conn.execute(
        insert(holds).values(
            organization_id=organization_id,
            reference_id=hold.reference_id,
            amount_micros=hold.amount.micros,
            status=hold.status.value,
            description=hold.description,
            expires_at=hold.expires_at,
        )
    )
    opened = MoneyChange.HOLD_OPENED
    await money_changes.note(conn, organization_id, opened, hold.reference_id, hold.amount.micros)
    return Held(hold)


async def capture(
    conn: AsyncConnection,
    organization_id: str,
    reference_id: str,
    micros: int | None,
    *,
    now: datetime,
) -> Captured:
    """Debit `micros` of the reserved amount (None: all of it), once, and release the rest; or
    return the refusal.

    It is a debit like any other: a shut gate or a frozen wallet refuses it, and the hold stays
    open. Locks the wallet's row; the caller commits.
    """
    wallet = await _lock(conn, organization_id, now)
    if wallet is None:
        return WalletNotFound(organization_id)
    hold = await _find(conn, wallet, reference_id)
    if hold is None:
        return HoldNotFound(reference_id)
    taken = hold.amount.micros if micros is None else micros
    if hold.status is HoldStatus.CAPTURED:
        return Held(hold, replayed=True) if taken == hold.captured_micros else HoldConflict(hold)
    if hold.status is not HoldStatus.OPEN:
        return HoldClosed(hold)
    if taken > hold.amount.micros:
        return CaptureTooLarge(hold.amount.micros)
    return await _debit(conn, wallet, hold, taken, now)


async def release(
    conn: AsyncConnection, organization_id: str, reference_id: str, *, now: datetime
) -> Released:
    """Release the whole hold, whatever the gate is. Once; an expired hold stays expired. The caller
    commits.
    """
    wallet = await _lock(conn, organization_id, now)
    if wallet is None:
        return WalletNotFound(organization_id)
    hold = await _find(conn, wallet, reference_id)
    if hold is None:
        return HoldNotFound(reference_id)
    if hold.status is HoldStatus.CAPTURED:
        return HoldClosed(hold)
    if hold.status is not HoldStatus.OPEN:
        return Held(hold, replayed=True)
    await wallets.set_aside(conn, wallet, -hold.amount.micros)
    return Held(await _close(conn, wallet, hold, HoldStatus.RELEASED, now))


async def due(conn: AsyncConnection, *, now: datetime, limit: int) -> list[str]:
    """Organizations with an overdue open hold."""
    overdue = select(holds.c.organization_id).where(
        holds.c.status == written(HoldStatus.OPEN.value), holds.c.expires_at <= now
    )
    return list((await conn.execute(overdue.distinct().limit(limit))).scalars())


async def expire(conn: AsyncConnection, organization_id: str, *, now: datetime) -> None:
    """Expire the organization's overdue holds. Idempotent. Locks the wallet's row; the caller
    commits.
    """
    await _lock(conn, organization_id, now)


async def get(conn: AsyncConnection, organization_id: str, reference_id: str) -> Hold | None:
    """The hold as last committed. An overdue hold may still be open until the next sweep."""
    wallet = await wallets.get(conn, organization_id)
    return None if wallet is None else await _find(conn, wallet, reference_id)


async def page(
    conn: AsyncConnection,
    wallet: Wallet,
    *,
    status: HoldStatus | None,
    after: str | None,
    limit: int,
) -> Sequence[Hold]:
    """Holds in the order of their references, after `after` if given."""
    query = select(holds).where(holds.c.organization_id == wallet.organization_id)
    if status is not None:
        query = query.where(holds.c.status == status.value)
    if after is not None:
        query = query.where(holds.c.reference_id > after)
    rows = await conn.execute(query.order_by(holds.c.reference_id).limit(limit))
    return [_hold(row, wallet.currency) for row in rows]


async def _lock(conn: AsyncConnection, organization_id: str, now: datetime) -> Wallet | None:
    """Lock the wallet and expire overdue holds, so that the caller decides on the holds that still
    count.
    """
    wallet = await wallets.lock(conn, organization_id)
    if wallet is None or wallet.held_micros == 0:
        return wallet
    expired = (
        update(holds)
        .where(
            holds.c.organization_id == organization_id,
            holds.c.status == written(HoldStatus.OPEN.value),
            holds.c.expires_at <= now,
        )
        .values(status=HoldStatus.EXPIRED.value, closed_at=now)
        .returning(holds.c.reference_id, holds.c.amount_micros)
    )
    overdue = (await conn.execute(expired)).all()
    for row in overdue:
        expiry = MoneyChange.HOLD_EXPIRED
        await money_changes.note(conn, organization_id, expiry, row.reference_id, row.amount_micros)
    return (
        await wallets.set_aside(conn, wallet, -sum(row.amount_micros for row in overdue))
        if overdue
        else wallet
    )


async def _debit(
    conn: AsyncConnection, wallet: Wallet, hold: Hold, micros: int, now: datetime
) -> Captured:
    # the debit may use the reserved money only after its release
    async with conn.begin_nested() as attempt:
        freed = await wallets.set_aside(conn, wallet, -hold.amount.micros)
        posting = debit(hold.reference_id, Money(micros, wallet.currency), hold.description)
        [outcome] = await wallets.post_locked(conn, freed, [posting])
        if not isinstance(outcome, Debited):
            await attempt.rollback()
            return outcome  # type: ignore[return-value]  # of a debit: none of what only a refund is answered with
    return Held(await _close(conn, wallet, hold, HoldStatus.CAPTURED, now, captured_micros=micros))


async def _close(
    conn: AsyncConnection,
    wallet: Wallet,
    hold: Hold,
    status: HoldStatus,
    now: datetime,
    captured_micros: int = 0,
) -> Hold:
    await conn.execute(
        update(holds)
        .where(
            holds.c.organization_id == wallet.organization_id,
            holds.c.reference_id == hold.reference_id,
        )
        .values(status=status.value, captured_micros=captured_micros, closed_at=now)
    )
    ended = MoneyChange(f"hold_{status.value}")
    micros = captured_micros or hold.amount.micros
    await money_changes.note(conn, wallet.organization_id, ended, hold.reference_id, micros)
    return replace(hold, status=status, captured_micros=captured_micros)


async def _find(conn: AsyncConnection, wallet: Wallet, reference_id: str) -> Hold | None:
    query = select(holds).where(
        holds.c.organization_id == wallet.organization_id, holds.c.reference_id == reference_id
    )
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else _hold(row, wallet.currency)


def _hold(row: Row[Any], currency: str) -> Hold:
    return Hold(
        reference_id=row.reference_id,
        amount=Money(row.amount_micros, currency),
        expires_at=row.expires_at,
        description=row.description,
        status=HoldStatus(row.status),
        captured_micros=row.captured_micros,
    )
