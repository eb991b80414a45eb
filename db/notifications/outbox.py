"""What people are to be told: every change of an alert is noted for the routes that take it, and a
worker claims what is due.

What a message says follows from the alert's state when it is sent, so no order of changes matters,
and an alert that came and went in the meantime is told once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, Integer, Row, Text, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.notifications import routes as routes_of
from db.notifications.routes import Route
from db.tables.audit import alert_changes
from db.tables.notifications import notification_routes as routes
from db.tables.notifications import notifications
from domain.alerts import AlertKind, Change
from domain.notifications import Item, Pace, due_at, reminder_at, wants
from domain.redaction import redact_text

CHANGES, ITEMS = 500, 1000
"""At a time."""
LEASE = timedelta(minutes=2)
"""Longer than a message may take; after it another worker tries."""
_STATES = text(
    """
    SELECT n.alert_id, n.revision, n.reminds, n.sent_at, s.organization_id, s.kind, s.detail,
           s.raised_at, s.times, s.acknowledged_at, s.cleared_at, s.closed_by
    FROM notifications n
    JOIN (
        SELECT id, organization_id, kind, detail, raised_at, times, acknowledged_at, cleared_at,
               NULL AS closed_by FROM alerts
        UNION ALL
        SELECT id, organization_id, kind, detail, raised_at, times, acknowledged_at, cleared_at,
               closed_by FROM past_alerts
    ) s ON s.id = n.alert_id
    WHERE n.route_id = :route_id AND n.due_at <= :now
    ORDER BY n.due_at, n.alert_id
    LIMIT :limit
    """
)

_SENT = text(
    """
    UPDATE notifications n
    SET sent_at = :now,
        due_at = CASE WHEN n.revision = told.revision THEN told.again ELSE n.due_at END,
        reminds = n.revision = told.revision
    FROM unnest(:alert_ids, :revisions, :again) AS told (alert_id, revision, again)
    WHERE n.route_id = :route_id AND n.alert_id = told.alert_id
    """
).bindparams(
    bindparam("alert_ids", type_=ARRAY(Text)),
    bindparam("revisions", type_=ARRAY(Integer)),
    bindparam("again", type_=ARRAY(DateTime(timezone=True))),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What one route is told of one alert; `revision` is that of the row that says so."""

    alert_id: str
    revision: int
    item: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one route is told now, in one message."""

    route_id: str
    failures: int
    url_encrypted: bytes
    due: tuple[Due, ...]


async def fan_out(conn: AsyncConnection, pace: Pace, *, now: datetime) -> int:
    """Note the alerts' changes for those who are told; returns how many there were. The caller
    commits.
    """
    query = (
        select(alert_changes)
        .where(~alert_changes.c.fanned_out)
        .order_by(alert_changes.c.id)
        .limit(CHANGES)
        .with_for_update(skip_locked=True)
    )
    changes = (await conn.execute(query)).all()
    if not changes:
        return 0
    takers = await routes_of.every(conn)
    for change in changes:
        at = due_at(change.kind, pace, now)
        if change.change in (Change.RAISED, Change.REPEATED):
            taking = [route.id for route in takers if _takes(route, change.kind)]
            await _add(conn, taking, change.alert_id, at)
        elif change.change in (Change.CLEARED, Change.CLOSED):
            await _end(conn, change.alert_id, at)
    done = update(alert_changes).where(alert_changes.c.id.in_([row.id for row in changes]))
    await conn.execute(done.values(fanned_out=True))
    return len(changes)


def _takes(route: Route, kind: str) -> bool:
    """A route that does not work is not told so."""
    if kind == AlertKind.NOTIFICATION_ROUTE_FAILED and route.failures:
        return False
    return wants(route.severities, route.kinds, kind)


async def _add(
    conn: AsyncConnection, route_ids: Sequence[str], alert_id: str, at: datetime
) -> None:
    if not route_ids:
        return
    adding = upsert(notifications).values(
        [{"route_id": id_, "alert_id": alert_id, "due_at": at} for id_ in route_ids]
    )
    await conn.execute(
        adding.on_conflict_do_update(
            index_elements=[notifications.c.route_id, notifications.c.alert_id],
            set_={
                "due_at": func.least(notifications.c.due_at, adding.excluded.due_at),
                "revision": notifications.c.revision + 1,
                "reminds": False,
            },
        )
    )


async def _end(conn: AsyncConnection, alert_id: str, at: datetime) -> None:
    """Whoever was told of the alert, or is about to be, is told that it ended."""
    await conn.execute(
        update(notifications)
        .where(notifications.c.alert_id == alert_id)
        .values(
            due_at=func.least(notifications.c.due_at, at),
            revision=notifications.c.revision + 1,
            reminds=False,
        )
    )


async def claim(conn: AsyncConnection, *, now: datetime, limit: int) -> list[Claim]:
    """Take what is due, of routes that nobody else sends by and that are not left alone. The caller
    commits, then sends.
    """
    waiting = (
        select(notifications.c.route_id)
        .where(notifications.c.route_id == routes.c.id, notifications.c.due_at <= now)
        .exists()
    )
    free = (
        select(routes.c.id, routes.c.failures, routes.c.url_encrypted)
        .where(
            waiting,
            or_(routes.c.claimed_until.is_(None), routes.c.claimed_until < now),
            or_(routes.c.retry_at.is_(None), routes.c.retry_at <= now),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claims = []
    for route in (await conn.execute(free)).all():
        due = await _due(conn, route.id, now)
        await conn.execute(
            update(routes)
            .where(routes.c.id == route.id)
            .values(claimed_until=now + LEASE if due else None)
        )
        if due:
            claims.append(
                Claim(
                    route_id=route.id,
                    failures=route.failures,
                    url_encrypted=route.url_encrypted,
                    due=tuple(due),
                )
            )
    return claims


async def _due(conn: AsyncConnection, route_id: str, now: datetime) -> list[Due]:
    params = {"route_id": route_id, "now": now, "limit": ITEMS}
    due: list[Due] = []
    for row in (await conn.execute(_STATES, params)).all():
        if row.reminds and row.acknowledged_at is not None:
            await _nothing_more(conn, route_id, row)
        else:
            due.append(Due(alert_id=row.alert_id, revision=row.revision, item=_item(row)))
    return due


async def _nothing_more(conn: AsyncConnection, route_id: str, row: Row[Any]) -> None:
    await conn.execute(
        update(notifications)
        .where(notifications.c.route_id == route_id, notifications.c.alert_id == row.alert_id)
        .where(notifications.c.revision == row.revision)
        .values(due_at=None)
    )


async def sent(conn: AsyncConnection, claim: Claim, pace: Pace, *, now: datetime) -> None:
    """The route has accepted the message. What changed since then is told by another one. The caller
    commits.
    """
    again = [
        None if due.item.cleared_at is not None else reminder_at(due.item.kind, pace, now)
        for due in claim.due
    ]
    params = {
        "route_id": claim.route_id,
        "now": now,
        "alert_ids": [due.alert_id for due in claim.due],
        "revisions": [due.revision for due in claim.due],
        "again": again,
    }
    await conn.execute(_SENT, params)
    await routes_of.worked(conn, claim.route_id)


def _item(row: Row[Any]) -> Item:
    return Item(
        organization_id=row.organization_id,
        kind=row.kind,
        detail=redact_text(row.detail),
        raised_at=row.raised_at,
        times=row.times,
        cleared_at=row.cleared_at,
        closed_by=row.closed_by,
        reminded=row.reminds and row.sent_at is not None,
    )
