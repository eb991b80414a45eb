"""The reports of campaign runs: when they reported, what they wait for, and which of them are
silent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, and_, bindparam, case, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.tables.campaigns import campaigns
from db.tables.columns import written_all
from domain.alerts import AlertKind
from domain.campaigns.send_refusal import IN_WORDS
from domain.campaigns.waits import LONG, NEEDS_A_PERSON, SILENCE, Waits, in_words

"""Two alert kinds: a campaign waits long for Twilio or a worker; Twilio's refusals have parked a
campaign.
"""

TIME = DateTime(timezone=True)
_MARK_SILENT = text(
    """
    WITH running AS MATERIALIZED (
        SELECT organization_id, id FROM campaigns
        WHERE status = 'running' AND coalesce(heard_at, started_at) < :before
          AND (rung_at IS NULL OR rung_at < :before)
        ORDER BY heard_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), due AS MATERIALIZED (
        SELECT organization_id, id FROM campaigns
        WHERE status = 'scheduled' AND scheduled_at < :before AND (rung_at IS NULL OR rung_at < :before)
        ORDER BY scheduled_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), silent AS (
        SELECT * FROM running UNION ALL SELECT * FROM due
    )
    UPDATE campaigns c SET rung_at = clock_timestamp()
    FROM silent WHERE c.organization_id = silent.organization_id AND c.id = silent.id
    RETURNING c.organization_id, c.id
    """
)
_NOTE = text(
    """
    WITH noted AS MATERIALIZED (
        SELECT waits_for FROM campaigns
        WHERE organization_id = :organization_id AND id = :id AND status = 'running' FOR UPDATE
    )
    UPDATE campaigns
    SET waits_for = :waits_for, waits_until = :until, detail = :detail,
        since = CASE WHEN noted.waits_for = :waits_for THEN since ELSE clock_timestamp() END,
        heard_at = greatest(CAST(:until AS timestamptz), clock_timestamp())
    FROM noted WHERE organization_id = :organization_id AND id = :id
    RETURNING noted.waits_for AS before
    """
)
_OPEN = campaigns.c.status.in_(written_all(["running", "parked", "paused", "scheduled"]))
_HEARD_AT = case(
    (campaigns.c.status == "running", func.coalesce(campaigns.c.heard_at, campaigns.c.since)),
    (campaigns.c.status == "scheduled", campaigns.c.scheduled_at),
)
_NOT_HEARD = bindparam("silent_since", type_=TIME) > _HEARD_AT
_REASON = case(
    (campaigns.c.status == "parked", campaigns.c.reason),
    (_NOT_HEARD, Waits.NOT_HEARD.value),
    (campaigns.c.status.in_(["paused", "scheduled"]), campaigns.c.status),
    else_=campaigns.c.waits_for,
)
_COUNT = (
    select(_REASON.label("reason"), func.count().label("number")).where(_OPEN).group_by(_REASON)
)
_REFUSED = _REASON.in_([park.value for park in IN_WORDS])
_SINCE = case((_NOT_HEARD, _HEARD_AT), else_=campaigns.c.since)
_LONG_WAIT = campaigns.c.waits_until > bindparam("until", type_=TIME)
_NEEDS_A_PERSON = (
    select(
        campaigns.c.organization_id,
        campaigns.c.id,
        _REFUSED.label("refused"),
        _REASON.label("reason"),
        campaigns.c.detail,
        case((_LONG_WAIT, campaigns.c.waits_until)).label("until"),
    )
    .where(
        _OPEN,
        or_(
            _REFUSED,
            and_(
                _REASON.in_([waits.value for waits in NEEDS_A_PERSON]),
                or_(bindparam("long_since", type_=TIME) > _SINCE, _LONG_WAIT),
            ),
        ),
    )
    .order_by(_SINCE)
)
_ALERTED = text(
    "SELECT organization_id, kind, detail FROM alerts WHERE kind = ANY(:kinds) AND cleared_at IS NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """`new`: it did not wait for this before."""

    new: bool


async def mark_silent(
    conn: AsyncConnection, *, before: datetime, limit: int
) -> list[tuple[str, UUID]]:
    """Running campaigns whose run has not reported since `before`, and those scheduled before it;
    marked as notified.

    The caller commits, then notifies them. Never waits: a locked campaign is being worked on, and
    parking locks all campaigns of an organization by id, in whatever order they fell silent.
    """
    rows = await conn.execute(_MARK_SILENT, {"before": before, "limit": limit})
    return [(row.organization_id, row.id) for row in rows]


async def mark_alive(conn: AsyncConnection, organization_id: str, campaign_id: UUID) -> None:
    """Record that its run is alive."""
    await conn.execute(
        update(campaigns)
        .where(campaigns.c.organization_id == organization_id, campaigns.c.id == campaign_id)
        .values(heard_at=func.clock_timestamp())
    )


async def note(
    conn: AsyncConnection,
    organization_id: str,
    campaign_id: UUID,
    waits_for: Waits | None,
    *,
    until: datetime | None = None,
    detail: str = "",
) -> Noted | None:
    """Record what its run waits for, and that it reports again at `until`; None: it waits for
    nothing any more.

    Returns None if it does not run. The caller commits.
    """
    params = {
        "organization_id": organization_id,
        "id": campaign_id,
        "waits_for": waits_for or "",
        "until": until,
        "detail": detail,
    }
    row = (await conn.execute(_NOTE, params)).one_or_none()
    return None if row is None else Noted(new=row.before != (waits_for or ""))


async def waiting(conn: AsyncConnection, *, now: datetime) -> Mapping[str, int]:
    """The number of waiting campaigns, by what they wait for."""
    rows = await conn.execute(_COUNT, {"silent_since": now - SILENCE})
    return {row.reason: row.number for row in rows if row.reason}


async def watch(conn: AsyncConnection, *, now: datetime) -> None:
    """Raise an alert for each organization with a campaign that needs a person, and clear those
    that no longer apply.

    An alert that already says the same is left alone. The caller commits.
    """
    details: dict[tuple[str, AlertKind], str] = {}
    params = {"silent_since": now - SILENCE, "long_since": now - LONG, "until": now + LONG}
    for row in await conn.execute(_NEEDS_A_PERSON, params):
        kind = AlertKind.CAMPAIGN_REFUSED if row.refused else AlertKind.CAMPAIGN_WAITS
        details.setdefault((row.organization_id, kind), _sentence(row))
    kinds = {"kinds": [AlertKind.CAMPAIGN_WAITS.value, AlertKind.CAMPAIGN_REFUSED.value]}
    standing = {
        (row.organization_id, AlertKind(row.kind)): row.detail
        for row in await conn.execute(_ALERTED, kinds)
    }
    for (organization_id, kind), detail in details.items():
        if standing.get((organization_id, kind)) != detail:
            await alerts.raise_(conn, organization_id, kind, detail)
    for organization_id, kind in standing.keys() - details.keys():
        await alerts.clear(conn, organization_id, kind)


def _sentence(row: Any) -> str:
    until = f", until {row.until:%Y-%m-%d %H:%M UTC}" if row.until is not None else ""
    return sentence(row.id, row.detail or in_words(row.reason)) + until


def sentence(campaign_id: UUID, why: str) -> str:
    """The detail of an alert."""
    return f"campaign {campaign_id}: {why}"
