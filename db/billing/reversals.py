"""Reversals: money that payers got back, each booked once by its own id; what the wallet cannot
cover is owed.

There is a block while anything is owed; it is placed and lifted in the transaction that changes the
debt. Each function that moves money locks the standing, then the wallet; the caller commits.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import decisions
from db.lifecycle import standings
from db.lifecycle.standings import HeldBlock
from db.tables.billing import payments, reversals
from db.wallet import money_changes, wallets
from db.wallet.money_changes import MoneyChange
from domain.alerts import AlertKind
from domain.billing.events import Reversal
from domain.billing.subscription import Provider
from domain.lifecycle.standing import Block
from domain.money import Money
from domain.wallet import refusals
from domain.wallet.ledger import Posted, Posting, Wallet, credit, recovery, reversal

RECEIVABLE = "receivable"
"""The reference of the block for debts from reversals."""
_LEFT_OWED = "payers got back more than the wallet held; the rest is owed"

_STANDS = (reversals.c.payment_kind == "topup") & reversals.c.returned_at.is_(None)
_UNCOVERED = (
    reversals.c.amount_micros
    - reversals.c.taken_micros
    - reversals.c.recovered_micros
    - reversals.c.waived_micros
)
_OWED = case((_STANDS, func.greatest(0, _UNCOVERED)), else_=0).label("owed")
"""What is still owed for a reversal."""
_OF = reversals.c.organization_id == bindparam("of_organization", type_=Text)
_IS_OWED = (_OF, _STANDS, _UNCOVERED > 0)
_OWING = (
    select(reversals, _OWED).where(*_IS_OWED).order_by(reversals.c.booked_at, reversals.c.object_id)
)
_SUM_OWED = select(func.coalesce(func.sum(_UNCOVERED), 0)).where(*_IS_OWED)
_THIS = (
    _OF,
    reversals.c.provider == bindparam("of_provider", type_=Text),
    reversals.c.object_id == bindparam("of_object", type_=Text),
)


class NotBooked(Exception):
    """The ledger refused the entry: another one has its reference. The transaction must be rolled
    back.
    """


@dataclass(frozen=True, slots=True)
class UnknownPayment:
    """The organization has no payment with that id, or not yet."""

    payment_id: str


@dataclass(frozen=True, slots=True)
class OtherCurrency:
    payment: Money


@dataclass(frozen=True, slots=True)
class OfSubscription:
    """The reversal is noted; its money never was in the wallet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """`counted` is the part that counts: the reversals of a payment together never exceed the
    payment.

    A reversal that was returned counts nothing, even if the provider reports it again; none grows
    after it was booked.
    """

    counted: Money
    reported: Money
    owed: Money
    returned: bool = False


@dataclass(frozen=True, slots=True)
class NeverCredited:
    """The payment was fully refunded before it was booked."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """It was never booked, so there is nothing to return."""


Outcome = UnknownPayment | OtherCurrency | OfSubscription | NeverCredited | Booked | Nothing


async def book(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    reversal: Reversal,
    *,
    now: datetime,
) -> Outcome:
    """Apply a reversal to the wallet as the provider reports it: taken once, returned once.
    Idempotent.

    Takes what is available, even if the wallet is frozen, and never what holds have reserved; the
    rest is owed.
    """
    await standings.lock(conn, organization_id)
    paid = await _payment(conn, organization_id, provider, reversal.payment_id)
    if paid is None:
        return UnknownPayment(reversal.payment_id)
    amount = Money(paid.amount_micros, paid.currency)
    if reversal.amount.currency != amount.currency:
        return OtherCurrency(amount)
    if paid.kind == "returned":
        return NeverCredited()
    row = await _find(conn, organization_id, provider, reversal.id)
    if row is None:
        if not reversal.stands:
            return Nothing()
        left = amount.micros - await _reversed(conn, organization_id, provider, reversal.payment_id)
        if await twin(conn, organization_id, provider, reversal) is not None:
            left = 0
        row = await _note(
            conn,
            organization_id,
            provider,
            reversal,
            paid.kind,
            max(0, min(reversal.amount.micros, left)),
        )
        if paid.kind == "topup":
            await _take(conn, organization_id, row)
    elif not reversal.stands and row.returned_at is None:
        await _give_back(conn, organization_id, row, now)
    if paid.kind != "topup":
        return OfSubscription()
    return await _booked(conn, organization_id, provider, reversal, amount.currency, now)


async def twin(
    conn: AsyncConnection, organization_id: str, provider: Provider, reversal: Reversal
) -> str | None:
    """The id of a reversal of the same money: PayPal reports a lost dispute as a reversal, too.

    Two reversals other than refunds, of the same payment and amount, count as the same money.
    `reversal` itself is not booked, or was returned.
    """
    if reversal.what == "refund":
        return None
    query = select(reversals.c.object_id).where(
        reversals.c.organization_id == organization_id,
        reversals.c.provider == provider.value,
        reversals.c.payment_id == reversal.payment_id,
        reversals.c.what == "dispute",
        reversals.c.told_micros == reversal.amount.micros,
        reversals.c.returned_at.is_(None),
    )
    return (await conn.execute(query.limit(1))).scalar_one_or_none()


async def recover(conn: AsyncConnection, organization_id: str, *, now: datetime) -> bool:
    """Recover what is owed from the available balance, oldest first; returns whether anything
    changed.
    """
    if await owed(conn, organization_id) == 0:
        return False
    await standings.lock(conn, organization_id)
    recovered = await _recover(conn, organization_id)
    await _agree(conn, organization_id, now)
    return recovered


async def waive(conn: AsyncConnection, organization_id: str, *, by: str, now: datetime) -> None:
    """Forgive what is owed, on behalf of an operator. Locks the standing, then the wallet; the
    caller commits.
    """
    await standings.lock(conn, organization_id)
    await wallets.lock(conn, organization_id)
    for row in (await conn.execute(_OWING, {"of_organization": organization_id})).all():
        await _change(conn, row, waived_micros=row.waived_micros + row.owed)
        of = f"{row.provider}:{row.object_id}"
        await money_changes.note(
            conn, organization_id, MoneyChange.DEBT_WAIVED, of, row.owed, by=by
        )
    await _agree(conn, organization_id, now)


async def owed(conn: AsyncConnection, organization_id: str) -> int:
    """The debt in micros of the wallet's currency, including changes of this transaction."""
    return int((await conn.execute(_SUM_OWED, {"of_organization": organization_id})).scalar_one())


async def _booked(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    reversal: Reversal,
    currency: str,
    now: datetime,
) -> Booked:
    """Recovers first: money that was returned or is available may cover the debt."""
    await _recover(conn, organization_id)
    await _agree(conn, organization_id, now)
    row = await _find(conn, organization_id, provider, reversal.id)
    assert row is not None
    counted = row.amount_micros if row.returned_at is None else 0
    if row.owed:
        await alerts.raise_(conn, organization_id, AlertKind.RECEIVABLE, _LEFT_OWED)
    return Booked(
        counted=Money(counted, currency),
        reported=reversal.amount,
        owed=Money(row.owed, currency),
        returned=row.returned_at is not None,
    )


async def _recover(conn: AsyncConnection, organization_id: str) -> bool:
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
            await _post(conn, wallet, [entry for _, entry in parts])
            for row, entry in parts:
                micros = row.recovered_micros + entry.amount.micros
                await _change(conn, row, recovered_micros=micros, recoveries=row.recoveries + 1)
    except NotBooked as problem:
        await alerts.raise_(
            conn, organization_id, AlertKind.REVERSAL_NOT_BOOKED, f"recovery: {problem}"
        )
        return False
    return True


async def _take(conn: AsyncConnection, organization_id: str, row: Any) -> None:
    wallet = await wallets.lock(conn, organization_id)
    micros = min(row.amount_micros, wallet.available_micros) if wallet is not None else 0
    if wallet is None or micros <= 0:
        return
    name = f"reversal:{row.provider}:{row.object_id}"
    entry = reversal(
        name,
        Money(micros, wallet.currency),
        f"{row.what} of {row.provider} payment {row.payment_id}",
    )
    await _post(conn, wallet, [entry])
    await _change(conn, row, taken_micros=micros)


async def _give_back(conn: AsyncConnection, organization_id: str, row: Any, now: datetime) -> None:
    wallet = await wallets.lock(conn, organization_id)
    micros = row.taken_micros + row.recovered_micros
    if wallet is not None and micros > 0:
        name = f"returned:{row.provider}:{row.object_id}"
        why = f"returned: the {row.what} of {row.provider} payment {row.payment_id}"
        await _post(conn, wallet, [credit(name, Money(micros, wallet.currency), why)])
    await _change(conn, row, returned_at=now)


async def _post(conn: AsyncConnection, wallet: Wallet, entries: list[Posting]) -> None:
    for outcome in await wallets.post_locked(conn, wallet, entries) if entries else ():
        if not isinstance(outcome, Posted) or outcome.replayed:
            raise NotBooked(refusals.in_words(outcome))


async def _agree(conn: AsyncConnection, organization_id: str, now: datetime) -> None:
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
        detail = _LEFT_OWED
        receivable = HeldBlock(
            kind=Block.DISPUTE, reference=RECEIVABLE, reason=detail, placed_by="tollgate"
        )
        await standings.place_block(conn, organization_id, receivable)
    else:
        detail = "no debt from reversals is left"
        await standings.lift_block(conn, organization_id, Block.DISPUTE, RECEIVABLE)
        await alerts.clear(conn, organization_id, AlertKind.RECEIVABLE)
    await decisions.settle(conn, organization_id, now=now, cause=detail, may_open=not micros)


async def _payment(
    conn: AsyncConnection, organization_id: str, provider: Provider, payment_id: str
) -> Any:
    query = select(payments.c.kind, payments.c.amount_micros, payments.c.currency).where(
        payments.c.organization_id == organization_id,
        payments.c.provider == provider.value,
        payments.c.object_id == payment_id,
    )
    return (await conn.execute(query)).one_or_none()


async def _reversed(
    conn: AsyncConnection, organization_id: str, provider: Provider, payment_id: str
) -> int:
    query = select(func.coalesce(func.sum(reversals.c.amount_micros), 0)).where(
        reversals.c.organization_id == organization_id,
        reversals.c.provider == provider.value,
        reversals.c.payment_id == payment_id,
        reversals.c.returned_at.is_(None),
    )
    return int((await conn.execute(query)).scalar_one())


async def _note(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    reversal: Reversal,
    payment_kind: str,
    micros: int,
) -> Any:
    values = {
        "organization_id": organization_id,
        "provider": provider.value,
        "object_id": reversal.id,
        "what": "refund" if reversal.what == "refund" else "dispute",
        "payment_id": reversal.payment_id,
        "payment_kind": payment_kind,
        "told_micros": reversal.amount.micros,
        "amount_micros": micros,
        "occurred_at": reversal.occurred_at,
    }
    return (await conn.execute(insert(reversals).values(values).returning(reversals))).one()


async def _find(
    conn: AsyncConnection, organization_id: str, provider: Provider, object_id: str
) -> Any:
    params = {
        "of_organization": organization_id,
        "of_provider": provider.value,
        "of_object": object_id,
    }
    return (await conn.execute(select(reversals, _OWED).where(*_THIS), params)).one_or_none()


async def _change(conn: AsyncConnection, row: Any, **values: Any) -> None:
    params = {
        "of_organization": row.organization_id,
        "of_provider": row.provider,
        "of_object": row.object_id,
    }
    await conn.execute(update(reversals).where(*_THIS).values(**values), params)
