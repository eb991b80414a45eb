"""Payments: money facts from a fresh GET, each booked once by the id of its money object."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.billing import receivables
from db.events import log
from db.lifecycle import standings
from db.tables.billing import payments
from db.tables.billing import reversals as reversals_table
from db.wallet import wallets
from domain.billing.events import Payment
from domain.billing.subscription import Provider
from domain.events.catalogue import EventType
from domain.money import Money
from domain.wallet import refusals
from domain.wallet.entries import credit
from domain.wallet.ledger import Credited, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedPayment:
    provider: Provider
    object_id: str
    kind: str
    amount: Money
    reference_id: str | None
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class BookedFor:
    """The payment was booked before for another organization; nothing is booked now."""

    organization_id: str


@dataclass(frozen=True, slots=True)
class PaidBack:
    """The payment was fully refunded before it was booked: it was noted and never credited."""


@dataclass(frozen=True, slots=True)
class OfSubscription:
    """The payment is noted for this subscription; it pays for the service, not into the wallet."""

    subscription_id: str


TopUpOutcome = Outcome | BookedFor | PaidBack | OfSubscription


def in_words(outcome: TopUpOutcome) -> str:
    """The outcome of a top-up in words; does not reveal which other organization has it."""
    match outcome:
        case BookedFor():
            return "it was booked for another organization"
        case PaidBack():
            return "it was refunded before it was booked"
        case OfSubscription(subscription_id=id_):
            return f"it is a payment for subscription {id_}"
        case _:
            return refusals.in_words(outcome)


async def book_topup(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    payment: Payment,
    *,
    now: datetime,
) -> TopUpOutcome:
    """Credit the wallet with a captured payment, once by the capture's id; owed reversals are
    recovered from it first.

    Two organizations at once: the second transaction fails on the unique payment. Locks the
    standing, then the wallet; the caller commits.
    """
    await standings.lock(conn, organization_id)
    noted = await _noted(conn, provider, payment.reference.id)
    if noted is not None and noted.organization_id != organization_id:
        return BookedFor(noted.organization_id)
    if noted is not None and noted.kind == "returned":
        return PaidBack()  # its refunds could no longer be taken back
    if (
        noted is not None
        and noted.kind == "subscription"
        and noted.provider_subscription_id is not None
    ):
        return OfSubscription(noted.provider_subscription_id)
    reference_id = f"{provider.value}:{payment.reference.kind.value}:{payment.reference.id}"
    if noted is not None and noted.reference_id is not None:
        # the same payment is credited once, even if read as another kind of object
        reference_id = noted.reference_id
    [outcome] = await wallets.post(
        conn, organization_id, [credit(reference_id, payment.amount, f"top-up by {provider.value}")]
    )
    if isinstance(outcome, Credited):
        new = await _note(
            conn, organization_id, provider, payment, kind="topup", reference_id=reference_id
        )
        if not new:
            new = await _rebook_as_topup(conn, organization_id, provider, payment, reference_id)
        if new:
            await _tell(conn, organization_id, provider, payment, reference_id)
        await receivables.recover(conn, organization_id, now=now)
    return outcome


async def book_subscription_payment(
    conn: AsyncConnection, organization_id: str, provider: Provider, payment: Payment
) -> bool:
    """Note a payment of the subscription, once by the sale's id; False if it was noted before.

    The wallet does not change. Locks the standing, so that the payment is not credited
    concurrently; the caller commits.
    """
    await standings.lock(conn, organization_id)
    return await _note(
        conn, organization_id, provider, payment, kind="subscription", reference_id=None
    )


async def credited(conn: AsyncConnection, provider: Provider, object_id: str) -> bool:
    """Whether the payment is booked as a top-up."""
    noted = await _noted(conn, provider, object_id)
    return noted is not None and noted.kind == "topup"


async def note_returned(
    conn: AsyncConnection, organization_id: str, provider: Provider, payment: Payment
) -> None:
    """Note a top-up that was fully refunded before it was booked: it is never credited.

    Locks the standing, so that it is not credited concurrently; the caller commits.
    """
    await standings.lock(conn, organization_id)
    await _note(conn, organization_id, provider, payment, kind="returned", reference_id=None)


async def of_organization(
    conn: AsyncConnection, organization_id: str, *, limit: int
) -> list[BookedPayment]:
    """The organization's payments, newest first."""
    query = (
        select(payments)
        .where(payments.c.organization_id == organization_id)
        .order_by(payments.c.booked_at.desc())
        .limit(limit)
    )
    return [_payment(row) for row in await conn.execute(query)]


async def owners(conn: AsyncConnection, provider: Provider, object_ids: Sequence[str]) -> set[str]:
    """The organizations of those payments that are booked."""
    query = select(payments.c.organization_id).where(
        payments.c.provider == provider.value, payments.c.object_id.in_(object_ids)
    )
    return set((await conn.execute(query)).scalars())


async def _noted(conn: AsyncConnection, provider: Provider, object_id: str) -> Any:
    query = select(payments).where(
        payments.c.provider == provider.value, payments.c.object_id == object_id
    )
    return (await conn.execute(query)).one_or_none()


async def _note(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    payment: Payment,
    *,
    kind: str,
    reference_id: str | None,
) -> bool:
    noted = await conn.execute(
        upsert(payments)
        .values(
            organization_id=organization_id,
            provider=provider.value,
            object_id=payment.reference.id,
            kind=kind,
            amount_micros=payment.amount.micros,
            currency=payment.amount.currency,
            reference_id=reference_id,
            provider_subscription_id=payment.subscription_id,
            occurred_at=payment.occurred_at,
        )
        .on_conflict_do_nothing(index_elements=["organization_id", "provider", "object_id"])
        .returning(payments.c.object_id)
    )
    return noted.one_or_none() is not None


async def _rebook_as_topup(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    payment: Payment,
    reference_id: str,
) -> bool:
    """Turn a payment noted for a subscription that nothing names into a top-up, together with its
    reversals: the wallet that gets its credit owes what was refunded. False: it was no such
    payment.

    The caller holds the standing.
    """
    of_owner = payments.c.organization_id == organization_id, payments.c.provider == provider.value
    rebooked = await conn.execute(
        update(payments)
        .where(
            *of_owner,
            payments.c.object_id == payment.reference.id,
            payments.c.kind == "subscription",
        )
        .values(
            kind="topup",
            reference_id=reference_id,
            amount_micros=payment.amount.micros,
            currency=payment.amount.currency,
        )
    )
    await conn.execute(
        update(reversals_table)
        .where(
            reversals_table.c.organization_id == organization_id,
            reversals_table.c.provider == provider.value,
            reversals_table.c.payment_id == payment.reference.id,
        )
        .values(payment_kind="topup")
    )
    return rebooked.rowcount > 0


async def _tell(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    payment: Payment,
    reference_id: str,
) -> None:
    paid = {
        "provider": provider.value,
        "payment_id": payment.reference.id,
        "reference_id": reference_id,
        "amount_micros": payment.amount.micros,
        "currency": payment.amount.currency,
    }
    await log.append(conn, EventType.TOPUP_PAID, organization_id, paid)


def _payment(row: Row[Any]) -> BookedPayment:
    return BookedPayment(
        provider=Provider(row.provider),
        object_id=row.object_id,
        kind=row.kind,
        amount=Money(row.amount_micros, row.currency),
        reference_id=row.reference_id,
        booked_at=row.booked_at,
    )
