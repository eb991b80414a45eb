"""Top-ups by checkout: links that were handed out, until they are paid or abandoned. Money is
booked elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import log
from db.tables.billing import payments, topups
from db.tables.columns import written
from domain.billing.subscription import Provider
from domain.events.catalogue import EventType
from domain.money import Money

QUERIES_AT_ONCE = 20

_WITH_REFERENCE = select(topups, payments.c.reference_id).outerjoin(
    payments,
    (payments.c.organization_id == topups.c.organization_id)
    & (payments.c.provider == topups.c.provider)
    & (payments.c.object_id == topups.c.payment_id),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpCheckout:
    organization_id: str
    provider: Provider
    checkout_id: str
    url: str
    amount: Money
    status: str = "open"
    created_at: datetime | None = None
    reference_id: str | None = None
    """Of the ledger entry that credited it."""


async def add(conn: AsyncConnection, checkout: TopUpCheckout, idempotency_key: str) -> bool:
    """Store a checkout; False if its key or id exists already. The caller commits."""
    added = await conn.execute(
        upsert(topups)
        .values(
            organization_id=checkout.organization_id,
            provider=checkout.provider.value,
            checkout_id=checkout.checkout_id,
            url=checkout.url,
            amount_micros=checkout.amount.micros,
            currency=checkout.amount.currency,
            idempotency_key=idempotency_key,
        )
        .on_conflict_do_nothing()
        .returning(topups.c.checkout_id)
    )
    return added.one_or_none() is not None


async def by_key(
    conn: AsyncConnection, organization_id: str, idempotency_key: str
) -> TopUpCheckout | None:
    query = select(topups).where(
        topups.c.organization_id == organization_id, topups.c.idempotency_key == idempotency_key
    )
    return _topup((await conn.execute(query)).one_or_none())


async def find(
    conn: AsyncConnection, organization_id: str, provider: Provider, checkout_id: str
) -> TopUpCheckout | None:
    query = select(topups).where(
        topups.c.organization_id == organization_id,
        topups.c.provider == provider.value,
        topups.c.checkout_id == checkout_id,
    )
    return _topup((await conn.execute(query)).one_or_none())


async def get(
    conn: AsyncConnection, organization_id: str, checkout_id: str
) -> TopUpCheckout | None:
    """With the reference of its ledger entry; a provider's ids are not another's."""
    query = _WITH_REFERENCE.where(
        topups.c.organization_id == organization_id,
        topups.c.provider.in_([provider.value for provider in Provider]),
        topups.c.checkout_id == checkout_id,
    )
    return _topup((await conn.execute(query.limit(1))).one_or_none())


async def page(
    conn: AsyncConnection,
    organization_id: str,
    *,
    status: str | None,
    last: tuple[datetime, str] | None,
    limit: int,
) -> list[TopUpCheckout]:
    """The newest first, with the references of their entries; those behind `last`, the time and the
    id of one, if it is given.
    """
    query = _WITH_REFERENCE.where(topups.c.organization_id == organization_id)
    if status is not None:
        query = query.where(topups.c.status == status)
    if last is not None:
        query = query.where(tuple_(topups.c.created_at, topups.c.checkout_id) < last)
    query = query.order_by(topups.c.created_at.desc(), topups.c.checkout_id.desc()).limit(limit)
    return [topup for row in await conn.execute(query) if (topup := _topup(row)) is not None]


async def waiting(conn: AsyncConnection, organization_id: str) -> list[TopUpCheckout]:
    """The open top-ups, newest first, at most as many as one look may query."""
    query = (
        select(topups)
        .where(topups.c.organization_id == organization_id, topups.c.status == written("open"))
        .order_by(topups.c.created_at.desc())
        .limit(QUERIES_AT_ONCE)
    )
    return [topup for row in await conn.execute(query) if (topup := _topup(row)) is not None]


async def close(
    conn: AsyncConnection, topup: TopUpCheckout, *, paid: bool, payment_id: str | None = None
) -> None:
    """Mark it as paid by this payment, or as abandoned; it may be paid nevertheless. The caller
    commits.
    """
    closed = await conn.execute(
        update(topups)
        .where(
            topups.c.organization_id == topup.organization_id,
            topups.c.provider == topup.provider.value,
            topups.c.checkout_id == topup.checkout_id,
            topups.c.status.in_(("open", "expired") if paid else ("open",)),
        )
        .values(
            status="paid" if paid else "expired",
            settled_at=func.clock_timestamp(),
            payment_id=payment_id,
        )
    )
    if closed.rowcount and not paid:
        failed = {
            "provider": topup.provider.value,
            "checkout_id": topup.checkout_id,
            "amount_micros": topup.amount.micros,
            "currency": topup.amount.currency,
        }
        await log.append(conn, EventType.TOPUP_FAILED, topup.organization_id, failed)


def _topup(row: Any) -> TopUpCheckout | None:
    if row is None:
        return None
    return TopUpCheckout(
        organization_id=row.organization_id,
        provider=Provider(row.provider),
        checkout_id=row.checkout_id,
        url=row.url,
        amount=Money(row.amount_micros, row.currency),
        status=row.status,
        created_at=row.created_at,
        reference_id=getattr(row, "reference_id", None),
    )
