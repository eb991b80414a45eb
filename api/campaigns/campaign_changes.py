"""Changes of a campaign on request: start, schedule, pause, resume, cancel."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from api.campaigns.campaigns import campaign_out
from api.campaigns.fields import CampaignOut, StartRequest
from api.context import CampaignId, Context, Here, OrganizationId, parsed_uuid
from api.http.auth import WRITE
from api.http.errors import Kind, Problem, may_not_send, not_found
from api.http.idempotency import Once
from db.campaigns import campaigns, rates, transitions, windows
from db.campaigns.campaigns import Campaign
from db.campaigns.transitions import PERSON
from db.lifecycle import organizations, standings
from db.wallet import wallets
from domain.audit import can_send
from domain.campaigns.campaign import NO_FACTS, Act, ActFacts, CampaignStatus, NoChange, transition

router = APIRouter(prefix="/v1/organizations/{organization_id}/campaigns", tags=["campaigns"])
PAUSED_BY_A_PERSON = "paused by a person"
_REFUSED = {
    Act.START: Kind.CAMPAIGN_NOT_STARTABLE,
    Act.SCHEDULE: Kind.CAMPAIGN_NOT_STARTABLE,
    Act.PAUSE: Kind.CAMPAIGN_NOT_PAUSABLE,
    Act.RESUME: Kind.CAMPAIGN_NOT_RESUMABLE,
    Act.CANCEL: Kind.CAMPAIGN_COMPLETED,
}
_REFUSALS = {
    "frozen": Kind.FROZEN,
    "no_rate": Kind.NO_RATE,
    "insufficient_funds": Kind.INSUFFICIENT_FUNDS,
}
"""By the code of the first reason, as for a debit; any other code is a block of the organization.
"""


@router.post(
    "/{campaign_id}/start",
    dependencies=[WRITE],
    operation_id="start_campaign",
    summary="Start or schedule a campaign",
)
async def start(
    organization_id: OrganizationId,
    campaign_id: CampaignId,
    here: Here,
    once: Once,
    body: StartRequest | None = None,
) -> CampaignOut:
    """Starts a draft. Returns 423 or 402 with the reasons if the organization may not send, 200 if
    the campaign was started before.

    With a time in the future the campaign is scheduled, even if the organization may not send now.
    The time can be changed until then.
    """
    now = datetime.now(UTC)
    if body is None or body.at is None or body.at <= now:
        return await _run(here, organization_id, campaign_id, Act.START, once, body)
    async with here.services.engine.begin() as conn:
        to_be_done = await once.do_once(conn, body)
        campaign = await _locked(conn, organization_id, campaign_id)
        if not to_be_done:
            return await campaign_out(conn, campaign)
        _after(campaign, Act.SCHEDULE)
        campaign = await transitions.change(
            conn, campaign, Act.SCHEDULE, by=PERSON, scheduled_at=body.at.astimezone(UTC)
        )
        answer = await campaign_out(conn, campaign)
    here.notify_campaigns(organization_id, campaign.id)
    return answer


@router.post(
    "/{campaign_id}/cancel",
    dependencies=[WRITE],
    operation_id="cancel_campaign",
    summary="Cancel a campaign",
)
async def cancel(
    organization_id: OrganizationId, campaign_id: CampaignId, here: Here, once: Once
) -> CampaignOut:
    """Ends the campaign for good. Messages that were paid for and not handed to Twilio are
    refunded; the rest is never sent. Returns 200 if the campaign was canceled before.
    """
    async with here.services.engine.begin() as conn:
        to_be_done = await once.do_once(conn)
        campaign = await _locked(conn, organization_id, campaign_id)
        if to_be_done and _after(campaign, Act.CANCEL) is CampaignStatus.CANCELED:
            campaign = await transitions.change(conn, campaign, Act.CANCEL, by=PERSON)
            await windows.release(conn, organization_id, campaign.id)
        else:
            once.replayed()
        answer = await campaign_out(conn, campaign)
    here.notify_campaigns(organization_id, campaign.id)  # a window may be in progress
    return answer


@router.post(
    "/{campaign_id}/resume",
    dependencies=[WRITE],
    operation_id="resume_campaign",
    summary="Resume a paused campaign",
)
async def resume(
    organization_id: OrganizationId, campaign_id: CampaignId, here: Here, once: Once
) -> CampaignOut:
    """Resumes a paused or parked campaign. A campaign that was paused before its start time waits
    for that time again. Returns 423 or 402 with the reasons if the organization may not send.
    """
    return await _run(here, organization_id, campaign_id, Act.RESUME, once)


@router.post(
    "/{campaign_id}/pause",
    dependencies=[WRITE],
    operation_id="pause_campaign",
    summary="Pause a campaign",
)
async def pause(
    organization_id: OrganizationId, campaign_id: CampaignId, here: Here, once: Once
) -> CampaignOut:
    """Only a request resumes a paused campaign; Tollgate never does so by itself. Returns 200 if
    the campaign was paused before.
    """
    async with here.services.engine.begin() as conn:
        to_be_done = await once.do_once(conn)
        campaign = await _locked(conn, organization_id, campaign_id)
        if not to_be_done or _after(campaign, Act.PAUSE) is NoChange.DONE_BEFORE:
            once.replayed()
            return await campaign_out(conn, campaign)
        campaign = await transitions.change(
            conn,
            campaign,
            Act.PAUSE,
            by=PERSON,
            reason=PAUSED_BY_A_PERSON,
            scheduled_at=campaign.scheduled_at,
        )
        answer = await campaign_out(conn, campaign)
    here.notify_campaigns(organization_id, campaign.id)
    return answer


async def _run(
    here: Context,
    organization_id: str,
    campaign_id: str,
    act: Literal[Act.START, Act.RESUME],
    once: Once,
    body: StartRequest | None = None,
) -> CampaignOut:
    """Sets the campaign running, or scheduled again if it was paused before its start time."""
    async with here.services.engine.begin() as conn:
        to_be_done = await once.do_once(conn, body)
        campaign = await _locked(conn, organization_id, campaign_id)
        facts = _facts(campaign)
        if not to_be_done or _after(campaign, act, facts) is NoChange.DONE_BEFORE:
            once.replayed()
            return await campaign_out(conn, campaign)
        to = _after(campaign, act, facts)
        if to is CampaignStatus.RUNNING:
            if not campaign.total:
                raise Problem(Kind.CAMPAIGN_EMPTY, "the campaign has no recipients")
            await _refuse_unless_it_may_send(conn, organization_id)
        campaign = await transitions.change(
            conn,
            campaign,
            act,
            by=PERSON,
            facts=facts,
            scheduled_at=campaign.scheduled_at if to is CampaignStatus.SCHEDULED else None,
        )
        answer = await campaign_out(conn, campaign)
    here.notify_campaigns(organization_id, campaign.id)
    return answer


def _after(campaign: Campaign, act: Act, facts: ActFacts = NO_FACTS) -> CampaignStatus | NoChange:
    """The status after the act. Raises `Problem` (409) if the campaign's status does not allow the
    act.
    """
    to = transition(campaign.status, act, facts)
    if to is NoChange.REFUSED:
        raise Problem(_REFUSED[act], f"the campaign is {campaign.status.value}")
    return to


def _facts(campaign: Campaign) -> ActFacts:
    at = campaign.scheduled_at
    return ActFacts(begins_later=at is not None and at > datetime.now(UTC))


async def _refuse_unless_it_may_send(conn: AsyncConnection, organization_id: str) -> None:
    organization = await organizations.get(conn, organization_id)
    standing = await standings.get(conn, organization_id)
    wallet = await wallets.watch(conn, organization_id)
    if organization is None or standing is None or wallet is None:
        raise not_found("organization")
    reasons = can_send.reasons(standing, wallet, await rates.card(conn, organization))
    if reasons:
        raise may_not_send(_REFUSALS.get(reasons[0].code, Kind.SUSPENDED), reasons)


async def _locked(conn: AsyncConnection, organization_id: str, campaign_id: str) -> Campaign:
    """Locks the standing, then the campaign: the order in which all locks are taken."""
    wanted = parsed_uuid(campaign_id, "campaign")
    if await standings.lock(conn, organization_id) is None:
        raise not_found("organization")
    campaign = await campaigns.lock(conn, organization_id, wanted)
    if campaign is None:
        raise not_found("campaign")
    return campaign
