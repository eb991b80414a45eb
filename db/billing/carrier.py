"""Takes from the wallet what Twilio charged for an organization's subaccount, and returns what
Twilio corrects: each once by its reference. What the wallet cannot cover is owed.

Neither the gate nor a freeze stops a charge: Twilio has charged it already. Each function locks the
standing, then the wallet; the caller commits.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import receivables
from db.billing.owed_blocks import OWING
from db.billing.receivables import NotBooked
from db.events import log
from db.lifecycle import standings
from db.tables.billing import carrier_debts
from db.wallet import ledger, reserves, wallets
from domain.alerts import AlertKind
from domain.events.catalogue import EventType
from domain.money import Money
from domain.wallet.debts import Source
from domain.wallet.entries import Entry, EntryKind, carrier_charge, carrier_refund
from domain.wallet.ledger import Wallet


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A charge as it stands now: what the wallet paid of it, by then or since, and what is owed.
    What an operator forgave is in neither.
    """

    paid_micros: int
    owed_micros: int


async def take_charge(
    conn: AsyncConnection,
    organization_id: str,
    amount_micros: int,
    reference: str,
    now: datetime,
    *,
    recurs: bool = False,
    why: str = "charged by Twilio",
) -> Taken:
    """Charge the wallet, once per reference, with what is available; the rest is owed, and blocks.

    Never takes what holds have set aside; only a charge that `recurs` takes from the wallet's
    reserve, too. What was owed before is covered first. The ledger's reference is `carrier:` and
    `reference`. Raises NotBooked if the reference belongs to another amount.
    """
    wallet = await _lock(conn, organization_id)
    name = f"carrier:{reference}"
    before = await _charged(conn, organization_id, name)
    if before is None:
        await receivables.collect(conn, organization_id)
        amount = Money(amount_micros, wallet.currency)
        await _charge(conn, organization_id, amount, name, now, recurs=recurs, why=why)
        await receivables.agree(conn, organization_id, now)
        before = await _charged(conn, organization_id, name)
    if before is None or before.amount_micros != amount_micros:
        raise NotBooked(f"the reference {name} belongs to a charge of another amount")
    return Taken(paid_micros=before.paid_micros, owed_micros=before.owed_micros)


async def give_back(
    conn: AsyncConnection,
    organization_id: str,
    amount_micros: int,
    reference: str,
    now: datetime,
    *,
    of: Collection[str] = (),
    but_waived: int = 0,
) -> None:
    """Return a part of what was charged, once per reference: it covers what is owed for the charges
    with the references `of` first, since Twilio no longer asks for it; then what else is owed; and
    the rest is available. What was waived of them was never paid: it is not returned, but no longer
    counts as waived, except for `but_waived`.

    The ledger's reference is `carrier-refund:` and `reference`. Raises NotBooked if the reference
    belongs to another amount.
    """
    wallet = await _lock(conn, organization_id)
    name = f"carrier-refund:{reference}"
    before = await _entry(conn, organization_id, name, EntryKind.CARRIER_REFUND)
    if before is None:
        amount = Money(amount_micros, wallet.currency)
        entry = carrier_refund(name, amount, "Twilio corrected its bill")
        await receivables.post(conn, wallet, [entry])
        first = [f"carrier:{each}" for each in of]
        owed, waived = await receivables.open_of(conn, organization_id, first)
        less = min(amount_micros - owed, waived - but_waived)
        await receivables.reduce_waived(conn, organization_id, first, less)
        await receivables.collect(conn, organization_id, first=first)
        await receivables.agree(conn, organization_id, now)
    elif before.amount_micros != amount_micros:
        raise NotBooked(f"the reference {name} belongs to a refund of another amount")


async def replace_charge(
    conn: AsyncConnection,
    organization_id: str,
    amount_micros: int,
    reference: str,
    now: datetime,
    *,
    by: str,
    charged_micros: int,
) -> int:
    """Return a charge whose cost was charged again, with references that begin with `by`. What was
    waived of it is waived of those, up to `charged_micros`; returns how much.
    """
    await _lock(conn, organization_id)
    _, waived = await receivables.open_of(conn, organization_id, [f"carrier:{reference}"])
    kept = min(waived, charged_micros)
    moved = await receivables.waive_of(conn, organization_id, f"carrier:{by}", kept)
    await give_back(
        conn,
        organization_id,
        amount_micros,
        reference,
        now,
        of=[reference],
        but_waived=kept - moved,  # of what the wallet paid meanwhile: that comes back
    )
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class _Charged:
    amount_micros: int
    paid_micros: int
    owed_micros: int


async def _charged(conn: AsyncConnection, organization_id: str, name: str) -> _Charged | None:
    """What the reference was booked with."""
    entry = await _entry(conn, organization_id, name, EntryKind.CARRIER_CHARGE)
    query = select(carrier_debts).where(
        carrier_debts.c.organization_id == organization_id, carrier_debts.c.reference_id == name
    )
    debt = (await conn.execute(query)).one_or_none()
    if entry is None and debt is None:
        return None
    taken = 0 if entry is None else -entry.amount_micros
    if debt is None:
        return _Charged(amount_micros=taken, paid_micros=taken, owed_micros=0)
    return _Charged(
        amount_micros=taken + debt.amount_micros,
        paid_micros=taken + debt.recovered_micros,
        owed_micros=debt.amount_micros - debt.recovered_micros - debt.waived_micros,
    )


async def _entry(
    conn: AsyncConnection, organization_id: str, name: str, kind: EntryKind
) -> Entry | None:
    entry = await ledger.find(conn, organization_id, name)
    if entry is not None and entry.kind is not kind:
        raise NotBooked(f"the reference {name} belongs to a {entry.kind.value}")
    return entry


async def _charge(
    conn: AsyncConnection,
    organization_id: str,
    amount: Money,
    name: str,
    now: datetime,
    *,
    recurs: bool,
    why: str,
) -> None:
    wallet = await _lock(conn, organization_id)
    if recurs:
        wallet = await reserves.spend(conn, wallet, amount.micros, now=now)
    taken = min(amount.micros, wallet.available_micros)
    if taken:
        entry = carrier_charge(name, Money(taken, wallet.currency), why)
        await receivables.post(conn, wallet, [entry])
    if taken < amount.micros:
        await conn.execute(
            insert(carrier_debts).values(
                organization_id=organization_id,
                reference_id=name,
                amount_micros=amount.micros - taken,
                booked_at=now,
            )
        )
        unpaid = {
            "reference_id": name,
            "owed_micros": amount.micros - taken,
            "currency": amount.currency,
        }
        await log.append(conn, EventType.CARRIER_UNPAID, organization_id, unpaid)
        await alerts.raise_(
            conn, organization_id, AlertKind.CARRIER_OWED, OWING[Source.CARRIER].why
        )


async def _lock(conn: AsyncConnection, organization_id: str) -> Wallet:
    await standings.lock(conn, organization_id)
    wallet = await wallets.lock(conn, organization_id)
    if wallet is None:
        raise NotBooked(f"{organization_id} has no wallet")
    return wallet
