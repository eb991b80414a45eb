"""Figures: the current number of organizations, deliveries, messages and alerts by state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.audit import reconciliations
from db.campaigns import messages, runs
from db.carrier import parent_funds, segment_differences
from db.inbox import listed_events, pending_deliveries
from db.inbox.listed_events import Compared
from db.inbox.pending_deliveries import Backlog
from db.lifecycle import standing_counts
from db.outbound import backlog
from db.outbound.backlog import Undelivered
from db.tables.audit import alerts
from db.tables.lifecycle import standings
from domain.audit.reconciliation import Subject
from domain.billing.subscription import Provider
from domain.carrier.runway import Funds
from domain.lifecycle.standing import Status

_BEHIND = select(
    func.count().label("number"), func.min(standings.c.decided_at).label("since")
).where(standings.c.applied_epoch < standings.c.epoch)
_STUCK = select(func.count()).where(standings.c.stuck_step.is_not(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`behind` standings are decided but not applied everywhere yet; the `stuck` ones of them wait
    for a person.

    `alerts` are the open alerts by kind, `waiting` the waiting campaigns by reason. `unsettled`
    messages were handed over, and Twilio did not answer. `reconciled` is how long ago the last
    complete pass over each subject began. `parents` is what the parent accounts have at Twilio.
    `undelivered` is what waits for webhook endpoints. `segments_differing` messages have `more` or
    `fewer` segments at Twilio than here.
    """

    organizations: Mapping[Status, int]
    behind: int
    behind_for: timedelta
    stuck: int
    backlog: Backlog
    compared: Mapping[Provider, Compared]
    alerts: Mapping[str, int]
    unsettled: int
    waiting: Mapping[str, int]
    reconciled: Mapping[Subject, timedelta]
    parents: Sequence[Funds]
    segments_differing: Mapping[str, int]
    undelivered: Undelivered


async def read(conn: AsyncConnection, *, now: datetime) -> Figures:
    """None of these reads a table that grows: each uses an index of what is open."""
    behind = (await conn.execute(_BEHIND)).one()
    stuck: int = (await conn.execute(_STUCK)).scalar_one()
    raised = await conn.execute(
        select(alerts.c.kind, func.count().label("all"))
        .where(alerts.c.cleared_at.is_(None))
        .group_by(alerts.c.kind)
    )
    return Figures(
        organizations=await standing_counts.read(conn),
        behind=behind.number,
        behind_for=max(now - (behind.since or now), timedelta()),
        stuck=stuck,
        backlog=await pending_deliveries.backlog(conn),
        compared=await listed_events.compared(conn),
        alerts={row.kind: row.all for row in raised},
        waiting=await runs.waiting(conn, now=now),
        unsettled=await messages.number_unsettled(conn, before=now - messages.UNSETTLED_AFTER),
        reconciled=await reconciliations.ages(conn, now=now),
        parents=await parent_funds.read(conn),
        segments_differing=await segment_differences.counts(conn),
        undelivered=await backlog.read(conn, now=now),
    )
