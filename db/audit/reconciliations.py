"""When each subject was last reconciled completely."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.tables.audit import alerts as alerts_table
from db.tables.audit import reconciliations
from domain.alerts import AlertKind
from domain.audit.reconciliation import RHYTHMS, Subject

_SINCE = func.coalesce(reconciliations.c.began_at, reconciliations.c.expected_since)


async def complete(
    conn: AsyncConnection, subject: Subject, *, began_at: datetime, compared: int, differing: int
) -> None:
    """Record a complete pass; an earlier one that ends later changes nothing. The caller commits."""
    figures = {
        "began_at": began_at,
        "completed_at": func.clock_timestamp(),
        "compared": compared,
        "differing": differing,
    }
    later = reconciliations.c.began_at.is_(None) | (reconciliations.c.began_at < began_at)
    await conn.execute(
        upsert(reconciliations)
        .values(subject=subject.value, **figures)
        .on_conflict_do_update(index_elements=["subject"], set_=figures, where=later)
    )


async def ages(conn: AsyncConnection, *, now: datetime) -> Mapping[Subject, timedelta]:
    """How long ago the last complete pass of each subject began; before the first, how long one is
    expected.
    """
    query = select(reconciliations.c.subject, _SINCE.label("since")).order_by(
        reconciliations.c.subject
    )
    return {
        Subject(row.subject): max(now - row.since, timedelta())
        for row in await conn.execute(query)
        if row.subject in RHYTHMS
    }


async def watch(conn: AsyncConnection, *, now: datetime) -> None:
    """Raise an alert that names each subject whose last complete pass is too old, or clear it.

    An alert that already says the same is left alone. The caller commits.
    """
    await conn.execute(
        upsert(reconciliations)
        .values([{"subject": subject.value} for subject in RHYTHMS])
        .on_conflict_do_nothing()
    )
    late = [
        subject.value
        for subject, age in (await ages(conn, now=now)).items()
        if age > RHYTHMS[subject].late_after
    ]
    kind = AlertKind.RECONCILIATION_LATE
    if not late:
        await alerts.clear(conn, alerts.INSTALLATION, kind)
        return
    detail = f"no complete pass for too long: {', '.join(late)}"
    raised = await conn.execute(
        select(alerts_table.c.detail).where(
            alerts_table.c.organization_id == alerts.INSTALLATION,
            alerts_table.c.kind == kind.value,
            alerts_table.c.cleared_at.is_(None),
        )
    )
    if raised.scalar_one_or_none() != detail:
        await alerts.raise_(conn, alerts.INSTALLATION, kind, detail)
