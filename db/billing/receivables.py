"""What an organization owes: payers got it back, or Twilio charged it, and the wallet could not pay.

Money that comes in covers what is owed for the carrier first, then what is owed for reversals, the
oldest first. Of each source a block stands while anything is owed; it is placed and lifted in the
transaction that changes the debt. Each function that moves money locks the standing, then the
wallet; the caller commits.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import owed_blocks
from db.lifecycle import organizations, standings
from db.tables.billing import carrier_debts
from db.wallet import money_changes, reserves, wallets
from db.wallet.money_changes import MoneyChange
from domain.alerts import AlertKind
from domain.money import Money
from domain.wallet import refusals
from domain.wallet.debts import Debt, Owed, Source
from domain.wallet.entries import Posting, recovery
from domain.wallet.ledger import Posted, Wallet

_OWING = text("""
    SELECT source, name, owed, why, recoveries FROM (
        SELECT 'carrier' AS source, reference_id AS name, booked_at, recoveries,
               amount_micros - recovered_micros - waived_micros AS owed, 'debt left by a carrier charge' AS why
        FROM carrier_debts
        WHERE organization_id = :organization_id AND recovered_micros + waived_micros < amount_micros
        UNION ALL
        SELECT 'reversal', provider || ':' || object_id, booked_at, recoveries,
               amount_micros - taken_micros - recovered_micros - waived_micros, 'debt left by a ' || what
        FROM reversals
        WHERE organization_id = :organization_id AND payment_kind = 'topup' AND returned_at IS NULL
          AND taken_micros + recovered_micros + waived_micros < amount_micros
    ) owing ORDER BY source, booked_at, name
""")
_BEHIND = text("""
    SELECT EXISTS (SELECT FROM carrier_debts WHERE organization_id = :organization_id
                   AND recovered_micros + waived_micros < amount_micros)
        OR EXISTS (SELECT FROM reversals WHERE organization_id = :organization_id
                   AND payment_kind = 'topup' AND returned_at IS NULL
                   AND taken_micros + recovered_micros + waived_micros < amount_micros)
        OR EXISTS (SELECT FROM blocks WHERE organization_id = :organization_id
                   AND kind = 'funds' AND reference = 'empty')
        OR EXISTS (SELECT FROM reserves WHERE organization_id = :organization_id
                   AND held_micros < wanted_micros)
""")
_CHANGE = """
    UPDATE {table} SET recovered_micros = recovered_micros + :recovered,
        waived_micros = waived_micros + :waived,
        recoveries = recoveries + CAST(CAST(:recovered AS bigint) > 0 AS integer)
    WHERE organization_id = :organization_id AND {key}
"""
_CHANGES = {
    Source.CARRIER: text(_CHANGE.format(table="carrier_debts", key="reference_id = :name")),
    Source.REVERSAL: text(
        _CHANGE.format(
            table="reversals",
            key="provider = split_part(:name, ':', 1)"
            " AND object_id = substr(:name, strpos(:name, ':') + 1)",
        )
    ),
}


class NotBooked(Exception):
    """The ledger refused the entry: another one has its reference. The transaction must be rolled
    back.
    """


async def recover(conn: AsyncConnection, organization_id: str, *, now: datetime) -> bool:
    """Recover what is owed from the available balance, fill the reserve, and lift the blocks that have no reason any
    more; returns whether anything changed.
    """
    if not (await conn.execute(_BEHIND, {"organization_id": organization_id})).scalar_one():
        return False
    before = await standings.lock(conn, organization_id)
    recovered = await collect(conn, organization_id)
    filled = await reserves.fill(conn, organization_id, now=now)
    await agree(conn, organization_id, now)
    return recovered or filled or await standings.get(conn, organization_id) != before


async def waive(
    conn: AsyncConnection, organization_id: str, source: Source, *, by: str, now: datetime
) -> None:
    """Forgive what is owed for one source, on behalf of an operator. Locks the standing, then the
    wallet; the caller commits.
    """
    await standings.lock(conn, organization_id)
    await wallets.lock(conn, organization_id)
    for debt in await debts(conn, organization_id):
        if debt.source is source:
            await _waive(conn, organization_id, debt, debt.owed_micros, by=by)
    await agree(conn, organization_id, now)


async def open_of(
    conn: AsyncConnection, organization_id: str, names: Collection[str]
) -> tuple[int, int]:
    """What is owed, and what is waived, of these debts for the carrier."""
    query = select(carrier_debts).where(
        carrier_debts.c.organization_id == organization_id, carrier_debts.c.reference_id.in_(names)
    )
    rows = (await conn.execute(query)).all()
    waived = sum(row.waived_micros for row in rows)
    return sum(row.amount_micros - row.recovered_micros for row in rows) - waived, waived


async def waive_of(conn: AsyncConnection, organization_id: str, prefix: str, micros: int) -> int:
    """Forgive up to so much of what is owed for the carrier under names with the prefix; returns
    how much. The caller holds the wallet, and has the blocks agree.
    """
    left = micros
    for debt in await debts(conn, organization_id):
        less = min(debt.owed_micros, left)
        if debt.source is Source.CARRIER and debt.name.startswith(prefix) and less > 0:
            left -= less
            await _waive(conn, organization_id, debt, less, by="tollgate")
    return micros - left


async def _waive(
    conn: AsyncConnection, organization_id: str, debt: Debt, micros: int, *, by: str
) -> None:
    await _change(conn, organization_id, debt, waived=micros)
    waived = MoneyChange.DEBT_WAIVED
    await money_changes.note(conn, organization_id, waived, debt.name, micros, by=by)


async def reduce_waived(
    conn: AsyncConnection, organization_id: str, names: Collection[str], micros: int
) -> None:
    """Forgive so much less of these debts for the carrier: Twilio asks for less, and what was
    forgiven was never paid. It is owed until the caller covers it. The caller holds the wallet.
    """
    query = (
        select(carrier_debts.c.reference_id, carrier_debts.c.waived_micros)
        .where(carrier_debts.c.organization_id == organization_id)
        .where(carrier_debts.c.reference_id.in_(names), carrier_debts.c.waived_micros > 0)
        .order_by(carrier_debts.c.booked_at, carrier_debts.c.reference_id)
    )
    for row in (await conn.execute(query)).all():
        less = min(row.waived_micros, micros)
        if less <= 0:
            return
        micros -= less
        params = {"organization_id": organization_id, "name": row.reference_id}
        await conn.execute(_CHANGES[Source.CARRIER], params | {"recovered": 0, "waived": -less})
        reduced = MoneyChange.WAIVER_REDUCED
        await money_changes.note(conn, organization_id, reduced, row.reference_id, less)


async def owed(conn: AsyncConnection, organization_id: str) -> Owed:
    """The debts, including changes of this transaction."""
    micros = dict.fromkeys(Source, 0)
    for debt in await debts(conn, organization_id):
        micros[debt.source] += debt.owed_micros
    return Owed(carrier=micros[Source.CARRIER], reversals=micros[Source.REVERSAL])


async def debts(conn: AsyncConnection, organization_id: str) -> list[Debt]:
    """In the order in which money covers them."""
    return [
        Debt(
            source=Source(row.source),
            name=row.name,
            owed_micros=row.owed,
            why=row.why,
            recoveries=row.recoveries,
        )
        for row in await conn.execute(_OWING, {"organization_id": organization_id})
    ]


async def collect(
    conn: AsyncConnection, organization_id: str, *, first: Collection[str] = ()
) -> bool:
    """Cover debts, those named `first` before all others. The caller holds the standing. What the
    ledger refuses stays owed, with an alert.
    """
    wallet = await wallets.lock(conn, organization_id)
    left = 0 if wallet is None else wallet.available_micros
    parts: list[tuple[Debt, Posting]] = []
    owing = await debts(conn, organization_id) if left > 0 else []
    for debt in sorted(owing, key=lambda debt: debt.name not in first):
        micros = min(debt.owed_micros, left)
        if wallet is None or micros <= 0:
            break
        left -= micros
        reference_id = f"recovery:{debt.name}:{debt.recoveries + 1}"
        parts.append((debt, recovery(reference_id, Money(micros, wallet.currency), debt.why)))
    if wallet is None or not parts:
        return False
    try:
        async with conn.begin_nested():
            await post(conn, wallet, [entry for _, entry in parts])
            for debt, entry in parts:
                await _change(conn, organization_id, debt, recovered=entry.amount.micros)
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
    """Keep each block exactly while its reason stands. The caller holds the standing."""
    organization = await organizations.get(conn, organization_id)
    owes = await owed(conn, organization_id)
    if organization is not None:
        await owed_blocks.agree(conn, organization, owes, now)


async def _change(
    conn: AsyncConnection, organization_id: str, debt: Debt, *, recovered: int = 0, waived: int = 0
) -> None:
    await conn.execute(
        _CHANGES[debt.source],
        {
            "organization_id": organization_id,
            "name": debt.name,
            "recovered": recovered,
            "waived": waived,
        },
    )
