"""Alerts: conditions that need a person; raised once, counted when repeated, cleared when they no
longer apply.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Exists, Text, bindparam, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.audit import alerts
from domain.alerts import AlertKind
from domain.redaction import redact_text

log = structlog.get_logger()
INSTALLATION = ""
"""Used in place of an organization's id for an alert about the whole installation."""
_CLEAR = (
    update(alerts)
    .where(
        alerts.c.organization_id == bindparam("of", type_=Text),
        alerts.c.kind == bindparam("of_kind", type_=Text),
    )
    .where(alerts.c.cleared_at.is_(None))
    .values(cleared_at=func.clock_timestamp())
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    organization_id: str
    kind: str
    detail: str
    raised_at: datetime
    times: int


async def raise_(conn: AsyncConnection, organization_id: str, kind: AlertKind, detail: str) -> None:
    """Raise an alert, and log it each time so that a log shipper can notify somebody. It contains
    no full phone number. The caller commits.
    """
    detail = redact_text(detail)
    log.warning("alert_raised", organization_id=organization_id, kind=kind.value, detail=detail)
    again = {
        "detail": detail,
        "last_seen_at": func.clock_timestamp(),
        "cleared_at": None,
        "times": alerts.c.times + 1,
    }
    await conn.execute(
        upsert(alerts)
        .values(organization_id=organization_id, kind=kind.value, detail=detail)
        .on_conflict_do_update(index_elements=[alerts.c.organization_id, alerts.c.kind], set_=again)
    )


async def raised_since(
    conn: AsyncConnection, organization_id: str, kind: AlertKind, since: datetime
) -> bool:
    """Whether the alert is open, and was raised since then."""
    query = select(alerts.c.kind).where(
        alerts.c.organization_id == organization_id,
        alerts.c.kind == kind.value,
        alerts.c.cleared_at.is_(None),
        alerts.c.last_seen_at >= since,
    )
    return (await conn.execute(query)).one_or_none() is not None


async def clear(
    conn: AsyncConnection,
    organization_id: str,
    kind: AlertKind,
    *,
    unseen_for: timedelta = timedelta(0),
    naming: str = "",
    unless: Exists | None = None,
) -> bool:
    """Clear an alert that no longer applies; returns whether it was open. `unseen_for`: only if it
    was not raised again for that long. `naming`: only if its detail contains this. `unless`: not if
    such a row exists. The caller commits.
    """
    query = _CLEAR
    if unseen_for:
        query = query.where(alerts.c.last_seen_at < func.clock_timestamp() - unseen_for)
    if naming:
        query = query.where(alerts.c.detail.contains(naming, autoescape=True))
    if unless is not None:
        query = query.where(~unless)
    return (await conn.execute(query, {"of": organization_id, "of_kind": kind.value})).rowcount > 0


async def clear_each(
    conn: AsyncConnection,
    organization_ids: Collection[str],
    kind: AlertKind,
    *,
    naming: str,
    otherwise: bool = False,
) -> None:
    """Clear the alert of each of these organizations whose detail contains `naming`; `otherwise`,
    where it does not. The caller commits.
    """
    named = alerts.c.detail.contains(naming, autoescape=True)
    await conn.execute(
        update(alerts)
        .where(alerts.c.organization_id.in_(organization_ids), alerts.c.kind == kind.value)
        .where(alerts.c.cleared_at.is_(None), ~named if otherwise else named)
        .values(cleared_at=func.clock_timestamp())
    )


async def organizations_with(conn: AsyncConnection, kind: AlertKind) -> list[str]:
    """Those for which such an alert is open; INSTALLATION may be among them."""
    query = select(alerts.c.organization_id).where(
        alerts.c.kind == kind.value, alerts.c.cleared_at.is_(None)
    )
    return list((await conn.execute(query)).scalars())


async def close(conn: AsyncConnection, organization_id: str, kind: str) -> bool:
    """Close an alert of any kind, also of another version's, because a person resolved it. Returns
    whether it was open.
    """
    return (await conn.execute(_CLEAR, {"of": organization_id, "of_kind": kind})).rowcount > 0


async def standing(
    conn: AsyncConnection,
    organization_id: str | None = None,
    *,
    after: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> list[Alert]:
    """Those not cleared, the oldest first; of one organization or of all. `after` is the time and
    the kind of an organization's alert.
    """
    query = (
        select(alerts)
        .where(alerts.c.cleared_at.is_(None))
        .order_by(alerts.c.raised_at, alerts.c.kind)
        .limit(limit)
    )
    if organization_id is not None:
        query = query.where(alerts.c.organization_id == organization_id)
    if after is not None:
        raised_at = literal(after[0], alerts.c.raised_at.type)
        query = query.where(tuple_(alerts.c.raised_at, alerts.c.kind) > tuple_(raised_at, after[1]))
    return [
        Alert(
            organization_id=row.organization_id,
            kind=row.kind,
            detail=redact_text(row.detail),
            raised_at=row.raised_at,
            times=row.times,
        )
        for row in await conn.execute(query)
    ]
