"""Computes a campaign's progress, its rate, and when it will be complete."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import parked_campaigns
from db.campaigns.campaigns import Campaign
from domain.campaigns import waits
from domain.campaigns.campaign import CampaignStatus, MessageStatus, Park
from domain.campaigns.waits import Wait, Waits

LATELY = timedelta(minutes=1)
_MOST_LOOKED_AT = 60_000
_LATELY = text(
    """
    SELECT count(*) AS number, min(sending_at) AS since FROM messages
    WHERE organization_id = :organization_id AND campaign_id = :campaign_id
      AND position BETWEEN :position - :most AND :position AND sending_at > :since
    """
)
_UNCONFIRMED = text(
    """
    SELECT count(*) FROM messages
    WHERE organization_id = :organization_id AND campaign_id = :campaign_id AND status IN ('sending', 'unknown')
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The messages of a campaign. `sent` were accepted by Twilio and kept; `delivered` and `failed`
    are part of them.

    `refunded` were paid and refunded; `remaining` are still to be sent; `unconfirmed` may have been
    accepted.
    """

    sent: int
    delivered: int
    failed: int
    refunded: int
    skipped: int
    unconfirmed: int
    remaining: int
    per_second: float
    remaining_seconds: int | None


async def why_waits(conn: AsyncConnection, campaign: Campaign, *, now: datetime) -> Wait | None:
    """Why the campaign does not move; None: it moves, or is over."""
    unconfirmed = 0
    if (campaign.status, campaign.reason) == (CampaignStatus.PARKED, Park.INSUFFICIENT_FUNDS):
        campaign = replace(
            campaign, detail=await parked_campaigns.shortage(conn, campaign, now=now)
        )
    if campaign.waits_for == Waits.UNCONFIRMED:
        unconfirmed = await number_unconfirmed(conn, campaign)
    return waits.why(campaign.facts, unconfirmed=unconfirmed, now=now)


async def number_unconfirmed(conn: AsyncConnection, campaign: Campaign) -> int:
    """The number of messages that were handed over and may or may not have been accepted by Twilio."""
    params = {"organization_id": campaign.organization_id, "campaign_id": campaign.id}
    number: int = (await conn.execute(_UNCONFIRMED, params)).scalar_one()
    return number


async def of(
    conn: AsyncConnection,
    campaign: Campaign,
    counts: Mapping[str, int],
    position: int | None,
    *,
    now: datetime,
) -> Progress:
    """Computed from the counts of `db.campaigns.campaigns`, which take a while for a million
    messages, and its next position.

    `remaining_seconds` is set only while messages are being sent and some remain.
    """
    per_second = await rate(conn, campaign, position or campaign.total, now=now)
    waiting = counts[MessageStatus.PENDING] + counts[MessageStatus.RESERVED]
    remaining = 0 if campaign.status is CampaignStatus.CANCELED else waiting
    still = waits.why(campaign.facts, unconfirmed=0, now=now)
    going = (
        campaign.status is CampaignStatus.RUNNING
        and still is None
        and per_second > 0
        and remaining > 0
    )
    return Progress(
        sent=counts[MessageStatus.ACCEPTED],
        delivered=counts["delivered"],
        failed=counts["failed"],
        refunded=counts[MessageStatus.REFUSED] + counts[MessageStatus.LOST],
        skipped=counts[MessageStatus.SKIPPED],
        unconfirmed=counts[MessageStatus.SENDING] + counts[MessageStatus.UNKNOWN],
        remaining=remaining,
        per_second=per_second,
        remaining_seconds=round(remaining / per_second) if going else None,
    )


async def rate(conn: AsyncConnection, campaign: Campaign, position: int, *, now: datetime) -> float:
    """Messages per second that were handed over in the last minute, before `position`."""
    params = {
        "organization_id": campaign.organization_id,
        "campaign_id": campaign.id,
        "position": position,
        "most": _MOST_LOOKED_AT,
        "since": now - LATELY,
    }
    row = (await conn.execute(_LATELY, params)).one()
    if not row.number:
        return 0.0
    spent: timedelta = now - row.since
    per_second: float = row.number / max(spent.total_seconds(), 1.0)
    return round(per_second, 1)
