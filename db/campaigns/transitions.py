"""Changes of a campaign's status, as the rules allow."""

from datetime import datetime
from typing import Any

from sqlalchemy import case, func, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns.campaigns import IN_STATUS, Campaign, next_position, read
from db.events import log
from db.tables.campaigns import campaign_changes, campaigns
from domain.campaigns.campaign import (
    NO_FACTS,
    PASSES_BY_ITSELF,
    Act,
    ActFacts,
    CampaignStatus,
    NoChange,
    transition,
)
from domain.campaigns.waits import OUTLASTS_A_PARK
from domain.events.catalogue import EventType

_BEGIN = {CampaignStatus.DRAFT, CampaignStatus.SCHEDULED}
_TOLD = {
    CampaignStatus.SCHEDULED: EventType.CAMPAIGN_SCHEDULED,
    CampaignStatus.PARKED: EventType.CAMPAIGN_PARKED,
    CampaignStatus.PAUSED: EventType.CAMPAIGN_PAUSED,
    CampaignStatus.COMPLETED: EventType.CAMPAIGN_COMPLETED,
    CampaignStatus.CANCELED: EventType.CAMPAIGN_CANCELED,
}
PERSON = "person"
TOLLGATE = "tollgate"


class WrongStatus(Exception):
    """The campaign's status does not allow the act."""


async def change(
    conn: AsyncConnection,
    campaign: Campaign,
    act: Act,
    *,
    by: str,
    facts: ActFacts = NO_FACTS,
    reason: str = "",
    detail: str = "",
    scheduled_at: datetime | None = None,
) -> Campaign:
    """Write a change of status with who and why; an act that has no effect changes nothing. The
    caller holds the campaign's row.

    Raises `WrongStatus`. A wait that Twilio requested survives when Tollgate parks and resumes the
    campaign.
    """
    to = transition(campaign.status, act, facts)
    if to is NoChange.DONE_BEFORE:
        return campaign
    if isinstance(to, NoChange):
        raise WrongStatus(f"{act.value}: the campaign is {campaign.status.value}")
    return await _write(
        conn, campaign, to, by=by, reason=reason, detail=detail, scheduled_at=scheduled_at
    )


async def _write(
    conn: AsyncConnection,
    campaign: Campaign,
    to: CampaignStatus,
    *,
    by: str,
    reason: str,
    detail: str,
    scheduled_at: datetime | None,
) -> Campaign:
    values: dict[str, Any] = {
        "status": to.value,
        "reason": reason,
        "detail": detail,
        "scheduled_at": scheduled_at,
    }
    keeps = _keeps_its_wait(campaign, to, by, reason)
    values |= {"since": func.clock_timestamp()} | _wait(keeps=keeps)
    if to is CampaignStatus.RUNNING:
        values |= {"started_at": func.coalesce(campaigns.c.started_at, func.clock_timestamp())}
        values |= {"heard_at": _wait(keeps=keeps)["waits_until"], "rung_at": None}
    if to in (CampaignStatus.COMPLETED, CampaignStatus.CANCELED):
        values["completed_at"] = func.clock_timestamp()
    changed = await conn.execute(
        update(campaigns)
        .where(
            campaigns.c.organization_id == campaign.organization_id, campaigns.c.id == campaign.id
        )
        .values(**values)
        .returning(campaigns)
    )
    await conn.execute(
        insert(campaign_changes).values(
            organization_id=campaign.organization_id,
            campaign_id=campaign.id,
            from_status=campaign.status.value,
            to_status=to.value,
            by=by,
            reason=reason,
            position=await next_position(conn, campaign.organization_id, campaign.id),
        )
    )
    data = {"campaign_id": str(campaign.id), "by": by, "reason": reason}
    await log.append(conn, _type(campaign.status, to), campaign.organization_id, data)
    return read(changed.one())


async def lock_in_status(
    conn: AsyncConnection, organization_id: str, *statuses: CampaignStatus
) -> list[Campaign]:
    """By id, the order in which several are always locked; taken after the standing's lock."""
    rows = await conn.execute(IN_STATUS, {"of": organization_id, "statuses": list(statuses)})
    return [read(row) for row in rows]


def _type(before: CampaignStatus, to: CampaignStatus) -> EventType:
    if to is CampaignStatus.RUNNING:
        return EventType.CAMPAIGN_STARTED if before in _BEGIN else EventType.CAMPAIGN_RESUMED
    return _TOLD[to]


def _keeps_its_wait(campaign: Campaign, to: CampaignStatus, by: str, reason: str) -> bool:
    goes_on_by_itself = to is CampaignStatus.RUNNING or (
        to is CampaignStatus.PARKED and reason in PASSES_BY_ITSELF
    )
    return by == TOLLGATE and goes_on_by_itself and campaign.waits_for in OUTLASTS_A_PARK


def _wait(*, keeps: bool) -> dict[str, Any]:
    if not keeps:
        return {"waits_for": "", "waits_until": None}
    lasts = campaigns.c.waits_until > func.clock_timestamp()
    return {
        "waits_for": case((lasts, campaigns.c.waits_for), else_=""),
        "waits_until": case((lasts, campaigns.c.waits_until)),
    }
