"""Alerts as people see them: listed together with those that ended, acknowledged, closed, each with
its history.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    cast,
    func,
    literal,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts as open_alerts
from db.alerts import Alert
from db.tables.audit import alert_changes, alerts, past_alerts
from domain.alerts import AlertStatus, Change

_PAST = [column.name for column in past_alerts.c]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """None: whatever. Without a status, alerts that ended are left out."""

    kinds: Collection[str] | None = None
    organization_id: str | None = None
    status: AlertStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of an alert. `by` is None if Tollgate made it."""

    change: Change
    note: str
    by: str | None
    at: datetime


def status_of(alert: Alert) -> AlertStatus:
    if alert.cleared_at is not None:
        return AlertStatus.CLEARED
    return AlertStatus.ACKNOWLEDGED if alert.acknowledged_at else AlertStatus.OPEN


async def get(conn: AsyncConnection, alert_id: str) -> Alert | None:
    """Also one that ended."""
    for query in (_standing(), _past()):
        found = (
            await conn.execute(query.where(query.selected_columns.id == alert_id))
        ).one_or_none()
        if found is not None:
            return open_alerts.of_row(found)
    return None


async def page(
    conn: AsyncConnection,
    wanted: Filter,
    *,
    before: tuple[datetime, str] | None = None,
    limit: int,
) -> list[Alert]:
    """The newest first. `before` is the time and the id of an alert."""
    query = _past() if wanted.status is AlertStatus.CLEARED else _standing()
    columns = query.selected_columns
    query = query.where(*_matching(wanted, columns.kind, columns.organization_id))
    if wanted.status is AlertStatus.OPEN:
        query = query.where(columns.acknowledged_at.is_(None))
    if wanted.status is AlertStatus.ACKNOWLEDGED:
        query = query.where(columns.acknowledged_at.is_not(None))
    if before is not None:
        raised_at = literal(before[0], alerts.c.raised_at.type)
        query = query.where(tuple_(columns.raised_at, columns.id) < tuple_(raised_at, before[1]))
    newest = query.order_by(columns.raised_at.desc(), columns.id.desc()).limit(limit)
    return [open_alerts.of_row(row) for row in await conn.execute(newest)]


async def history(conn: AsyncConnection, alert_id: str, *, limit: int = 500) -> list[Entry]:
    """What happened to an alert, the oldest first, without the repetitions that are only counted."""
    query = select(alert_changes).where(alert_changes.c.alert_id == alert_id)
    return [
        Entry(change=Change(row.change), note=row.note, by=row.made_by, at=row.made_at)
        for row in await conn.execute(query.order_by(alert_changes.c.id).limit(limit))
    ]


async def acknowledge(
    conn: AsyncConnection, alert: Alert, *, owner: str, by: str, remark: str
) -> bool:
    """Record who looks after an alert: nobody is reminded of it until it changes. Returns whether it
    is open. The caller commits.
    """
    owned = (
        update(alerts)
        .where(alerts.c.id == alert.id, alerts.c.cleared_at.is_(None))
        .values(owner=owner, acknowledged_at=func.clock_timestamp())
    )
    if not (await conn.execute(owned)).rowcount:
        return False
    text = f"{owner}: {remark}" if remark else owner
    await open_alerts.note(
        conn, alert.id, alert.organization_id, alert.kind, Change.ACKNOWLEDGED, text, by=by
    )
    return True


async def close(conn: AsyncConnection, alert_id: str, *, by: str, reason: str) -> bool:
    """End an alert because a person resolved it; returns whether it was open. The caller has checked
    that a person may close alerts of that kind, and commits.
    """
    is_open = [alerts.c.id == alert_id, alerts.c.cleared_at.is_(None)]
    return await open_alerts.end(conn, is_open, by=by, reason=reason) > 0


async def tidy(conn: AsyncConnection) -> None:
    """Give an id and a history to what an older build raised or cleared. The caller commits."""
    named = (
        update(alerts)
        .where(alerts.c.id.is_(None))
        .values(id=open_alerts.NEW_ID)
        .returning(alerts.c.id, alerts.c.organization_id, alerts.c.kind, alerts.c.detail)
    )
    for row in (await conn.execute(named)).all():
        await open_alerts.note(
            conn, row.id, row.organization_id, row.kind, Change.RAISED, row.detail
        )
    await open_alerts.end(conn, [alerts.c.cleared_at.is_not(None)])


def _standing() -> Select[tuple[object, ...]]:
    columns = [
        cast(null(), Text).label(name) if name == "closed_by" else alerts.c[name] for name in _PAST
    ]
    return select(*columns).where(alerts.c.cleared_at.is_(None), alerts.c.id.is_not(None))


def _past() -> Select[tuple[object, ...]]:
    return select(past_alerts)


def _matching(
    wanted: Filter, kind: ColumnElement[str], organization_id: ColumnElement[str]
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.kinds is not None:
        found.append(kind.in_(wanted.kinds))
    if wanted.organization_id is not None:
        found.append(organization_id == wanted.organization_id)
    return found
