"""Windows of messages that are handed over to Twilio: marked, released, or left unanswered."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import campaigns, messages, progress, runs, send_results
from db.campaigns import reservation_statements as statements
from db.campaigns.campaigns import Campaign
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from db.wallet import wallets
from domain.campaigns.campaign import Batch, CampaignStatus, MessageStatus, Next
from domain.campaigns.waits import Waits, not_sent
from domain.money import Money

HEARD_EVERY = timedelta(seconds=20)
"""A sender at a slow pace needs long for a batch, and reports meanwhile."""


def quiet_hours_at(campaign: Campaign, now: datetime) -> list[str]:
    return [] if campaign.quiet_hours is None else campaign.quiet_hours.quiet_countries(now)


async def next_window(
    conn: AsyncConnection,
    organization_id: str,
    campaign_id: UUID,
    replies: Sequence[Reply],
    *,
    limit: int,
    now: datetime,
) -> list[Message] | None:
    """Settle the window that was posted, and mark the next reserved messages as being sent, in one
    transaction.

    None if the gate is no longer open. Holds the wallet's row, so that no gate shuts before the
    commit, and the campaign's, so that a sender given up for dead and its successor never have the
    same message. Locks the campaign, the wallet, then the messages; the caller commits, then posts
    them.
    """
    campaign = await campaigns.lock(conn, organization_id, campaign_id)
    lock = wallets.lock if send_results.returns_money(replies) else wallets.watch
    wallet = await lock(conn, organization_id)
    await send_results.settle_locked(conn, organization_id, wallet, replies)
    if (
        campaign is None
        or campaign.status is not CampaignStatus.RUNNING
        or wallet is None
        or not wallet.pays
    ):
        return None
    if campaign.heard_at is None or now - campaign.heard_at > HEARD_EVERY:
        await runs.mark_alive(conn, organization_id, campaign_id)
    quiet = quiet_hours_at(campaign, now)
    params = {
        "organization_id": organization_id,
        "campaign_id": campaign_id,
        "limit": limit,
        "quiet": quiet,
    }
    rows = (await conn.execute(statements.BEGIN, params)).all()
    not_after = _not_after(campaign, {row.country for row in rows}, now)
    return [
        Message(
            organization_id=organization_id,
            id=row.id,
            campaign_id=campaign_id,
            position=row.position,
            recipient=row.recipient,
            body=campaign.body,
            segments=row.segments,
            price=Money(row.price_micros, wallet.currency),
            status=MessageStatus.SENDING,
            attempt=row.attempt,
            sending_at=row.sending_at,
            sender=row.sender,
            country=row.country,
            not_after=not_after.get(row.country),
        )
        for row in sorted(rows, key=lambda row: row.position)
    ]


def _not_after(
    campaign: Campaign, countries: Iterable[str | None], now: datetime
) -> dict[str | None, datetime]:
    """When quiet hours begin in each country; empty for a campaign without them."""
    quiet = campaign.quiet_hours
    return {} if quiet is None else {each: quiet.begin_in(each, now) for each in countries}


async def release(conn: AsyncConnection, organization_id: str, campaign_id: UUID) -> int:
    """Refund reserved messages that were not handed over, and make them pending again; returns how
    many.

    Locks the campaign, then the wallet; the caller commits.
    """
    campaign = await campaigns.lock(conn, organization_id, campaign_id)
    why = "" if campaign is None else not_sent(campaign.facts)
    reserved = await messages.in_status(
        conn, organization_id, MessageStatus.RESERVED, campaign_id=campaign_id
    )
    replies = [
        Reply(message=message, status=MessageStatus.PENDING, problem=why) for message in reserved
    ]
    return await send_results.settle(conn, organization_id, replies)


async def mark_unanswered(conn: AsyncConnection, organization_id: str, campaign_id: UUID) -> int:
    """Mark the messages in a dead sender's window as UNKNOWN: Twilio may have accepted them.
    Returns how many.
    """
    left = await messages.in_status(
        conn, organization_id, MessageStatus.SENDING, campaign_id=campaign_id
    )
    lost = [
        Reply(
            message=message,
            status=MessageStatus.UNKNOWN,
            problem="the sender died before it had Twilio's answer",
        )
        for message in left
    ]
    return await send_results.settle(conn, organization_id, lost)


async def sending(
    conn: AsyncConnection, campaign: Campaign, position: int, reserved: int, now: datetime
) -> Batch:
    if campaign.waits_for in (Waits.QUIET_HOURS, Waits.UNCONFIRMED):
        await runs.note(conn, campaign.organization_id, campaign.id, None)
    batch = make_batch(campaign, Next.SEND, position, reserved=reserved)
    return replace(batch, per_second=await progress.rate(conn, campaign, position, now=now))


def make_batch(campaign: Campaign, what: Next, position: int | None, *, reserved: int = 0) -> Batch:
    return Batch(
        next=what,
        reserved=reserved,
        position=position,
        total=campaign.total,
        status=campaign.status.value,
        reason=campaign.reason,
        detail=campaign.detail,
    )
