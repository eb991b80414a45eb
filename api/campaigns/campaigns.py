"""Campaigns: create, schedule, start, pause, resume and cancel them."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.campaigns import numbers, pricing
from api.campaigns.fields import CampaignOut, CampaignPage, CampaignRequest
from api.context import CampaignId, Here, IdempotencyKey, OrganizationId, parsed_uuid
from api.http.auth import READ, WRITE
from api.http.cursors import Cursor, Cursors, Limit
from api.http.errors import FieldError, Kind, Problem, not_found
from api.http.idempotency import mark_replayed
from db.campaigns import campaigns, progress, rates
from db.campaigns.campaigns import Campaign
from db.lifecycle import organizations, standings
from domain.campaigns.segments import count_segments

router = APIRouter(prefix="/v1/organizations/{organization_id}/campaigns", tags=["campaigns"])
_CURSORS: Cursors[UUID] = Cursors("campaigns", UUID)


@router.post(
    "",
    status_code=201,
    dependencies=[WRITE],
    operation_id="create_campaign",
    summary="Create a campaign",
)
async def create(
    organization_id: OrganizationId,
    draft: CampaignRequest,
    key: IdempotencyKey,
    here: Here,
    response: Response,
) -> CampaignOut:
    """Stores the campaign as a draft. Repeating the request with the same key returns 200 and the
    campaign in its current state.
    """
    checked = await numbers.check(draft.recipients)
    if checked.bad:
        raise _wrong(checked.bad[: numbers.MOST_NAMED])
    async with here.services.engine.begin() as conn:
        organization = await organizations.get(conn, organization_id)
        if organization is None:
            raise not_found("organization")
        segments, card = count_segments(draft.body).count, await rates.card(conn, organization)
        priced = pricing.price(checked.countries, segments, card, draft.quiet)
        if (
            priced.bad
            and await campaigns.repeated(conn, organization_id, key, _digest(draft)) is None
        ):
            some = list(priced.bad.items())[: numbers.MOST_NAMED]
            raise _wrong([(draft.recipients.index(number), problem) for number, problem in some])
        campaign, new = await campaigns.create(
            conn,
            organization_id,
            name=draft.name,
            body=draft.body,
            recipients=priced.recipients,
            idempotency_key=key,
            request_sha256=_digest(draft),
            quiet_hours=draft.quiet,
        )
        position = await campaigns.next_position(conn, organization_id, campaign.id)
    if not new:
        response.status_code = 200
        mark_replayed(response)
    return CampaignOut.of(campaign, position=position, duplicates=checked.duplicates)


@router.get("", dependencies=[READ], operation_id="list_campaigns", summary="List campaigns")
async def page(
    organization_id: OrganizationId, here: Here, cursor: Cursor = None, limit: Limit = 100
) -> CampaignPage:
    """Returns the campaigns of the organization, newest first."""
    before = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        if await standings.get(conn, organization_id) is None:
            raise not_found("organization")
        found = await campaigns.page(conn, organization_id, before=before, limit=limit + 1)
        shown, following = _CURSORS.cut(found, limit, lambda campaign: campaign.id)
        now, ids = datetime.now(UTC), [campaign.id for campaign in shown]
        positions = await campaigns.next_positions(conn, organization_id, ids)
        data = [
            CampaignOut.of(
                campaign,
                position=positions[campaign.id],
                waiting=await progress.why_waits(conn, campaign, now=now),
            )
            for campaign in shown
        ]
    return CampaignPage(data=data, next_cursor=following)


@router.get(
    "/{campaign_id}", dependencies=[READ], operation_id="get_campaign", summary="Get a campaign"
)
async def get(organization_id: OrganizationId, campaign_id: CampaignId, here: Here) -> CampaignOut:
    """Returns the campaign with its progress."""
    async with here.snapshot() as conn:
        campaign = await campaigns.get(conn, organization_id, parsed_uuid(campaign_id, "campaign"))
        if campaign is None:
            raise not_found("campaign")
        return await campaign_out(conn, campaign)


async def campaign_out(conn: AsyncConnection, campaign: Campaign) -> CampaignOut:
    position = await campaigns.next_position(conn, campaign.organization_id, campaign.id)
    counts = await campaigns.counts(conn, campaign.organization_id, campaign.id)
    now = datetime.now(UTC)
    how_far = await progress.of(conn, campaign, counts, position, now=now)
    waiting = await progress.why_waits(conn, campaign, now=now)
    return CampaignOut.of(
        campaign, position=position, counts=counts, progress=how_far, waiting=waiting
    )


def _wrong(recipients: Sequence[tuple[int, str]]) -> Problem:
    errors = [FieldError(f"recipients.{index}", problem) for index, problem in recipients]
    return Problem(Kind.INVALID, f"{errors[0].field}: {errors[0].message}", errors=errors)


def _digest(draft: CampaignRequest) -> bytes:
    quiet = (
        []
        if draft.quiet_hours is None
        else [str(draft.quiet_hours.begins), str(draft.quiet_hours.ends)]
    )
    content = json.dumps([draft.name, draft.body, draft.recipients, *quiet], ensure_ascii=False)
    return hashlib.sha256(content.encode()).digest()
