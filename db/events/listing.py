"""Reads the log of events: one, or a page of them, the newest first."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.events import events

_OUT_OF_ORDER = timedelta(minutes=1)
"""How much later than a following event one may have occurred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`data` is as it is stored; `domain.events.catalogue.shown` shows it."""

    id: str
    sequence: int
    type: str
    organization_id: str | None
    occurred_at: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    type: str | None = None
    organization_id: str | None = None
    since: datetime | None = None


async def get(conn: AsyncConnection, event_id: str) -> Event | None:
    row = (await conn.execute(select(events).where(events.c.id == event_id))).one_or_none()
    return None if row is None else _event(row)


async def page(
    conn: AsyncConnection, filters: Filters, *, before: int | None, limit: int
) -> list[Event]:
    """The newest first, of those below the sequence `before` if it is given."""
    query = select(events).order_by(events.c.sequence.desc()).limit(limit)
    if filters.type is not None:
        query = query.where(events.c.type == filters.type)
    if filters.organization_id is not None:
        query = query.where(events.c.organization_id == filters.organization_id)
    if filters.since is not None:
        first = await _first_since(conn, filters.since - _OUT_OF_ORDER)
        if first is None:
            return []
        query = query.where(events.c.occurred_at >= filters.since, events.c.sequence >= first)
    if before is not None:
        query = query.where(events.c.sequence < before)
    return [_event(row) for row in await conn.execute(query)]


async def _first_since(conn: AsyncConnection, since: datetime) -> int | None:
    """So that no more of the log is read than is asked for."""
    query = select(events.c.sequence).where(events.c.occurred_at >= since)
    row = await conn.execute(query.order_by(events.c.occurred_at).limit(1))
    return row.scalar_one_or_none()


def _event(row: Row[Any]) -> Event:
    return Event(
        id=row.id,
        sequence=row.sequence,
        type=row.type,
        organization_id=row.organization_id,
        occurred_at=row.occurred_at,
        data=row.data,
    )
