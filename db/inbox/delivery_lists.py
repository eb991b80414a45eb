"""Pages of webhook deliveries of all organizations, and one with its body.

The stored headers are in no answer: with them a body could be forged that PayPal's checksum of the
body accepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.inbox.deliveries import COLUMNS
from db.inbox.parking import Parked, parked
from db.tables.columns import written
from db.tables.inbox import inbox
from domain.billing.deliveries import InboxStatus
from domain.billing.subscription import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    status: InboxStatus | None = None
    provider: Provider | None = None
    organization_id: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """`next_attempt_at` and `attempts` say when a parked delivery is tried again by itself."""

    parked: Parked
    attempts: int
    next_attempt_at: datetime
    handled_at: datetime | None


async def page(
    conn: AsyncConnection, filters: Filters, *, before: int | None, limit: int
) -> list[Stored]:
    """The newest first."""
    query = _filtered(select(*COLUMNS), filters)
    if before is not None:
        query = query.where(inbox.c.id < before)
    return _read((await conn.execute(query.order_by(inbox.c.id.desc()).limit(limit))).all())


async def get(conn: AsyncConnection, delivery_id: int) -> tuple[Stored, bytes] | None:
    """The delivery and its body."""
    row = (await conn.execute(select(inbox).where(inbox.c.id == delivery_id))).one_or_none()
    return None if row is None else (_stored(row), row.body)


def _filtered(query: Select[Any], filters: Filters) -> Select[Any]:
    if filters.status is not None:
        query = query.where(inbox.c.status == written(filters.status.value))
    if filters.provider is not None:
        query = query.where(inbox.c.provider == written(filters.provider.value))
    if filters.organization_id is not None:
        query = query.where(inbox.c.organization_id == filters.organization_id)
    if filters.event_id is not None:
        providers = [filters.provider] if filters.provider else list(Provider)
        query = query.where(inbox.c.event_id == filters.event_id)
        query = query.where(inbox.c.provider.in_([provider.value for provider in providers]))
    return query


def _read(rows: Sequence[Row[Any]]) -> list[Stored]:
    return [_stored(row) for row in rows]


def _stored(row: Row[Any]) -> Stored:
    return Stored(
        parked=parked(row),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        handled_at=row.handled_at,
    )
