"""Collections: attempts to charge what a subscription owes, each identified by its key; the final
answer is kept.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.billing import collections
from domain.billing.events import PaymentStatus
from domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """One attempt. `status` is pending until the provider's final answer is recorded."""

    organization_id: str
    key: str
    subscription_id: str
    amount: Money
    started_at: datetime
    status: PaymentStatus = PaymentStatus.PENDING
    payment_id: str | None = None


async def begin(conn: AsyncConnection, attempt: Collection) -> Collection:
    """The attempt first begun under this key; it is this attempt if the key is new. The caller
    commits.
    """
    await conn.execute(
        upsert(collections)
        .values(
            organization_id=attempt.organization_id,
            idempotency_key=attempt.key,
            provider_subscription_id=attempt.subscription_id,
            amount_micros=attempt.amount.micros,
            currency=attempt.amount.currency,
            started_at=attempt.started_at,
        )
        .on_conflict_do_nothing()
    )
    row = (await conn.execute(select(collections).where(*_of(attempt)))).one()
    return Collection(
        organization_id=row.organization_id,
        key=row.idempotency_key,
        subscription_id=row.provider_subscription_id,
        amount=Money(row.amount_micros, row.currency),
        started_at=row.started_at,
        status=PaymentStatus(row.status),
        payment_id=row.payment_id,
    )


async def settle(
    conn: AsyncConnection, attempt: Collection, status: PaymentStatus, payment_id: str | None
) -> None:
    """Record the provider's final answer; the first one is kept. The caller commits."""
    await conn.execute(
        update(collections)
        .where(*_of(attempt), collections.c.status == PaymentStatus.PENDING.value)
        .values(status=status.value, payment_id=payment_id)
    )


def _of(attempt: Collection) -> tuple[ColumnElement[bool], ...]:
    return (
        collections.c.organization_id == attempt.organization_id,
        collections.c.idempotency_key == attempt.key,
    )
