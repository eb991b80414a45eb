"""A sender that may cost more than the customer pays: its organization's campaigns wait until an
operator or Twilio's next inspection says otherwise.
"""

from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.campaigns import refusals, transitions
from db.campaigns.transitions import TOLLGATE
from db.lifecycle import organizations, standings
from domain.alerts import AlertKind
from domain.campaigns.campaign import Act, CampaignStatus, Park


async def note(
    conn: AsyncConnection, organization_id: str, sender: str, problem: str | None
) -> list[UUID]:
    """Record what an inspection of the sender found (None: nothing); returns the campaigns to notify.

    Running campaigns are parked, and go on when the problem is gone. A finding about a former
    sender, or one whose messages are priced as RCS, says nothing. Locks the standing, the
    organization, the campaigns and the wallet; the caller commits.
    """
    await standings.lock(conn, organization_id)
    organization = await organizations.lock(conn, organization_id)
    if organization is None or organization.sender != sender:
        return []
    found = "" if organization.price_per_rcs_message is not None else problem or ""
    await organizations.change(conn, replace(organization, sender_problem=found))
    if not found:
        await alerts.clear(conn, organization_id, AlertKind.SENDER_SENDS_RCS)
        return await refusals.go_on(conn, organization_id, {Park.SENDER_COSTS_MORE})
    await alerts.raise_(conn, organization_id, AlertKind.SENDER_SENDS_RCS, found)
    parked = []
    for campaign in await transitions.lock_in_status(conn, organization_id, CampaignStatus.RUNNING):
        await transitions.change(
            conn, campaign, Act.PARK, by=TOLLGATE, reason=Park.SENDER_COSTS_MORE, detail=found
        )
        parked.append(campaign.id)
    return parked
