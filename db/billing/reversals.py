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
from db.billing.owed_blocks import OWING
from db.billing.receivables import agree, collect, post
from db.events import log
from db.lifecycle import standings
from db.tables.billing import payments, reversals
from db.wallet import wallets
from domain.alerts import AlertKind
from domain.billing.events import Reversal
from domain.billing.subscription import Provider
from domain.events.catalogue import EventType
from domain.money import Money
from domain.wallet.debts import Source
from domain.wallet.entries import credit, reversal

_OWED = case(
    (
        (reversals.c.payment_kind == "topup") & reversals.c.returned_at.is_(None),
        reversals.c.amount_micros
        - reversals.c.taken_micros
        - reversals.c.recovered_micros
        - reversals.c.waived_micros,
    ),
    else_=0,
).label("owed")
"""What is still owed for a reversal."""
_THIS = (
    reversals.c.organization_id == bindparam("of_organization", type_=Text),
    reversals.c.provider == bindparam("of_provider", type_=Text),
    reversals.c.object_id == bindparam("of_object", type_=Text),
)


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


async def _booked(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    reversal: Reversal,
    currency: str,
    now: datetime,
) -> Booked:
    """Recovers first: money that was returned or is available may cover the debt."""
    await collect(conn, organization_id)
    await agree(conn, organization_id, now)
    row = await _find(conn, organization_id, provider, reversal.id)
    assert row is not None
    counted = row.amount_micros if row.returned_at is None else 0
    if row.owed:
        why = OWING[Source.REVERSAL].why
        await alerts.raise_(conn, organization_id, AlertKind.RECEIVABLE, why)
    return Booked(
        counted=Money(counted, currency),
        reported=reversal.amount,
        owed=Money(row.owed, currency),
        returned=row.returned_at is not None,
    )


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
    await post(conn, wallet, [entry])
    await _change(conn, row, taken_micros=micros)


async def _give_back(conn: AsyncConnection, organization_id: str, row: Any, now: datetime) -> None:
    wallet = await wallets.lock(conn, organization_id)
    micros = row.taken_micros + row.recovered_micros
    if wallet is not None and micros > 0:
        name = f"returned:{row.provider}:{row.object_id}"
        why = f"returned: the {row.what} of {row.provider} payment {row.payment_id}"
        await post(conn, wallet, [credit(name, Money(micros, wallet.currency), why)])
    await _change(conn, row, returned_at=now)


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
    row = (await conn.execute(insert(reversals).values(values).returning(reversals))).one()
    refunded = {
        "provider": provider.value,
        "payment_id": reversal.payment_id,
        "reversal_id": reversal.id,
        "what": row.what,
        "paid_for": payment_kind,
        "amount_micros": micros,
        "currency": reversal.amount.currency,
    }
    await log.append(conn, EventType.PAYMENT_REFUNDED, organization_id, refunded)
    return row


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
