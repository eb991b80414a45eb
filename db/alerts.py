"""Alerts: conditions that need a person; raised once, counted when repeated, cleared when they no
longer apply.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import (
    ColumnElement,
    Exists,
    Insert,
    Row,
    Select,
    Text,
    bindparam,
    case,
    cast,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import alert_events
from db.tables.audit import alert_changes, alerts, past_alerts
from domain.alerts import MEANINGS, AlertKind, Change
from domain.redaction import redact_text

log = structlog.get_logger()
INSTALLATION = ""
"""Used in place of an organization's id for an alert about the whole installation."""
NEW_ID = literal("alt_").concat(func.replace(cast(func.gen_random_uuid(), Text), "-", ""))
_OPEN = alerts.c.cleared_at.is_(None)
_ONE = (
    alerts.c.organization_id == bindparam("of", type_=Text),
    alerts.c.kind == bindparam("of_kind", type_=Text),
)
_MOVED = [column.name for column in past_alerts.c if column.name in alerts.c]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """From when it is raised until it is cleared. `owner` has acknowledged it."""

    id: str
    organization_id: str
    kind: str
    detail: str
    raised_at: datetime
    last_seen_at: datetime
    times: int
    owner: str | None
    acknowledged_at: datetime | None
    cleared_at: datetime | None = None
    closed_by: str | None = None


async def raise_(conn: AsyncConnection, organization_id: str, kind: AlertKind, detail: str) -> None:
    """Raise an alert, and log it each time so that a log shipper can notify somebody. It contains
    no full phone number. The caller commits.

    Of a kind that names facts, each detail is another one: it is written to the alert's history, and
    whoever acknowledged the alert has to look again.
    """
    detail = redact_text(detail)
    log.warning("alert_raised", organization_id=organization_id, kind=kind.value, detail=detail)
    id_ = f"alt_{uuid4().hex}"
    written = _raising(id_, organization_id, kind, detail)
    await conn.execute(written)


def _raising(id_: str, organization_id: str, kind: AlertKind, detail: str) -> Insert:
    """One statement without rows, which can be sent together with others."""
    ended = alerts.c.cleared_at.is_not(None)  # where an older build cleared it
    names_facts = MEANINGS[kind].names_facts
    is_news = ~_known(alerts.c.id, detail) if names_facts else false()
    again = {
        "id": case((or_(ended, alerts.c.id.is_(None)), id_), else_=alerts.c.id),
        "detail": detail,
        "raised_at": case((ended, func.clock_timestamp()), else_=alerts.c.raised_at),
        "last_seen_at": func.clock_timestamp(),
        "cleared_at": None,
        "times": case((ended, 1), else_=alerts.c.times + 1),
        "owner": case((or_(ended, is_news), null()), else_=alerts.c.owner),
        "acknowledged_at": case((or_(ended, is_news), null()), else_=alerts.c.acknowledged_at),
    }
    raised = (
        upsert(alerts)
        .values(id=id_, organization_id=organization_id, kind=kind.value, detail=detail)
        .on_conflict_do_update(index_elements=[alerts.c.organization_id, alerts.c.kind], set_=again)
        .returning(alerts.c.id)
        .cte("raised")
    )
    is_new = raised.c.id == id_
    is_news_of_it = ~_known(raised.c.id, detail) if names_facts else false()
    entry = select(
        raised.c.id,
        literal(organization_id, Text),
        literal(kind.value, Text),
        case((is_new, Change.RAISED.value), else_=Change.REPEATED.value),
        literal(detail, Text),
    ).where(or_(is_new, is_news_of_it))
    names = ["alert_id", "organization_id", "kind", "change", "note"]
    new = select(raised.c.id).where(is_new).cte("new")
    written = insert(alert_changes).from_select(names, entry).inline()
    for event in alert_events.telling_raised(new, organization_id, kind):
        written = written.add_cte(event)
    return written


def _known(alert_id: ColumnElement[str], detail: str) -> Exists:
    """Whether the alert's history has this fact."""
    return exists().where(
        alert_changes.c.alert_id == alert_id,
        alert_changes.c.change.in_([Change.RAISED, Change.REPEATED]),
        alert_changes.c.note == detail,
    )


async def note(
    conn: AsyncConnection,
    alert_id: str,
    organization_id: str,
    kind: str,
    change: Change,
    text: str,
    *,
    by: str | None = None,
) -> None:
    """Add to an alert's history. The caller commits."""
    await conn.execute(
        insert(alert_changes).values(
            alert_id=alert_id,
            organization_id=organization_id,
            kind=kind,
            change=change.value,
            note=text,
            made_by=by,
        )
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
) -> None:
    """Clear an alert that no longer applies. `unseen_for`: only if it was not raised again for that
    long. `naming`: only if its detail contains this. `unless`: not if such a row exists. The caller
    commits.
    """
    which: list[ColumnElement[bool]] = [*_ONE, _OPEN]
    if unseen_for:
        which.append(alerts.c.last_seen_at < func.clock_timestamp() - unseen_for)
    if naming:
        which.append(alerts.c.detail.contains(naming, autoescape=True))
    if unless is not None:
        which.append(~unless)
    await end(conn, which, of=organization_id, of_kind=kind.value)


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
    ids = alerts.c.organization_id.in_(organization_ids)
    await end(conn, [ids, alerts.c.kind == kind.value, _OPEN, ~named if otherwise else named])


async def clear_unseen(conn: AsyncConnection, kind: AlertKind, *, since: datetime) -> None:
    """Clear the alerts of a kind, of whichever organization, that were last raised before `since`.
    The caller commits.
    """
    await end(conn, [alerts.c.kind == kind.value, _OPEN, alerts.c.last_seen_at < since])


async def end(
    conn: AsyncConnection,
    which: Collection[ColumnElement[bool]],
    *,
    by: str | None = None,
    reason: str = "",
    **values: str,
) -> int:
    """Move these alerts to those that ended, with an entry in their history; returns how many, if it
    is not sent `together` with other statements. `by`: a person closes them. The caller commits.
    """
    change = Change.CLEARED if by is None else Change.CLOSED
    gone = delete(alerts).where(*which).returning(*(alerts.c[name] for name in _MOVED)).cte("gone")
    ended_at = func.coalesce(gone.c.cleared_at, func.clock_timestamp())
    computed = {"cleared_at": ended_at, "id": func.coalesce(gone.c.id, NEW_ID)}
    moved = [computed.get(name, gone.c[name]) for name in _MOVED]
    ended = (
        insert(past_alerts)
        .from_select([*_MOVED, "closed_by"], select(*moved, literal(by, Text)))
        .returning(past_alerts.c.id, past_alerts.c.organization_id, past_alerts.c.kind)
        .cte("ended")
    )
    entries: Select[tuple[str, ...]] = select(
        ended.c.id,
        ended.c.organization_id,
        ended.c.kind,
        literal(change.value, Text),
        literal(reason, Text),
        literal(by, Text),
    )
    names = ["alert_id", "organization_id", "kind", "change", "note", "made_by"]
    written = insert(alert_changes).from_select(names, entries).inline()
    with_event = written.add_cte(alert_events.telling_end(ended, by))
    # without rows: it may be sent together with other statements
    result = await conn.execute(with_event, values, execution_options={"preserve_rowcount": True})
    return result.rowcount


async def organizations_with(conn: AsyncConnection, kind: AlertKind) -> list[str]:
    """Those for which such an alert is open; INSTALLATION may be among them."""
    query = select(alerts.c.organization_id).where(
        alerts.c.kind == kind.value, alerts.c.cleared_at.is_(None)
    )
    return list((await conn.execute(query)).scalars())


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
    return [of_row(row) for row in await conn.execute(query)]


def of_row(row: Row[Any]) -> Alert:
    return Alert(
        id=row.id or "",
        organization_id=row.organization_id,
        kind=row.kind,
        detail=redact_text(row.detail),
        raised_at=row.raised_at,
        last_seen_at=row.last_seen_at,
        times=row.times,
        owner=row.owner,
        acknowledged_at=row.acknowledged_at,
        cleared_at=row.cleared_at,
        closed_by=getattr(row, "closed_by", None),
    )
