"""Explains why an organization may or may not send: the reasons in words, and everything an
operator needs on one page.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.alerts import Alert
from db.billing import receivables, subscriptions
from db.campaigns import campaigns, progress, rates
from db.campaigns.campaigns import Campaign
from db.carrier import foreign_messages, recurring
from db.carrier.foreign_messages import Found, Total
from db.carrier.recurring import Recurring
from db.inbox import pending_deliveries
from db.inbox.deliveries import Delivery
from db.lifecycle import organizations, receipts, standings
from db.lifecycle.organizations import Organization
from db.lifecycle.receipts import Receipt
from db.lifecycle.standings import HeldBlock, Stuck
from db.switching import switches
from db.switching.switches import Switch
from db.wallet import wallets
from domain.audit.can_send import Reason, reasons
from domain.billing.subscription import Subscription
from domain.campaigns.waits import Wait
from domain.lifecycle.standing import Standing
from domain.wallet.debts import Owed
from domain.wallet.ledger import Wallet

SHOWN = 20
FOREIGN_SINCE = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignAt:
    """`position` is the first message that is not handed over yet, None if all are. `unconfirmed`
    messages were handed over, but Twilio has not confirmed that it accepted them.
    """

    campaign: Campaign
    position: int | None
    unconfirmed: int
    wait: Wait | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    organization: Organization
    standing: Standing
    stuck: Stuck | None
    blocks: tuple[HeldBlock, ...]
    wallet: Wallet
    owed: Owed
    recurring: Recurring
    reasons: tuple[Reason, ...]
    subscriptions: tuple[Subscription, ...]
    switch: Switch | None
    deliveries: tuple[Delivery, ...]
    receipts: tuple[Receipt, ...]
    campaigns: tuple[CampaignAt, ...]
    alerts: tuple[Alert, ...]
    foreign: tuple[Total, ...] = ()
    foreign_messages: tuple[Found, ...] = ()


async def why_not(conn: AsyncConnection, organization_id: str) -> list[Reason] | None:
    """Why a message would not be paid now; empty if it would. None if there is no such
    organization.

    Like `explain`, call it in a REPEATABLE READ transaction.
    """
    organization = await organizations.get(conn, organization_id)
    standing = await standings.get(conn, organization_id)
    wallet = await wallets.get(conn, organization_id)
    if organization is None or standing is None or wallet is None:
        return None
    return reasons(standing, wallet, await rates.card(conn, organization))


async def explain(conn: AsyncConnection, organization_id: str) -> Explanation | None:
    """Everything about one organization, newest first. None if there is no such organization."""
    organization = await organizations.get(conn, organization_id)
    standing = await standings.get(conn, organization_id)
    wallet = await wallets.get(conn, organization_id)
    if organization is None or standing is None or wallet is None:
        return None
    now = datetime.now(UTC)
    recent = await campaigns.page(conn, organization_id, before=None, limit=SHOWN)
    ids = [campaign.id for campaign in recent]
    positions = await campaigns.next_positions(conn, organization_id, ids)
    return Explanation(
        organization=organization,
        standing=standing,
        stuck=await standings.stuck(conn, organization_id),
        blocks=tuple(await standings.held_blocks(conn, organization_id)),
        wallet=wallet,
        owed=await receivables.owed(conn, organization_id),
        recurring=await recurring.get(conn, organization_id),
        reasons=tuple(reasons(standing, wallet, await rates.card(conn, organization))),
        subscriptions=tuple(await subscriptions.of_organization(conn, organization_id)),
        switch=await switches.newest(conn, organization_id),
        deliveries=tuple(
            await pending_deliveries.of_organization(conn, organization_id, limit=SHOWN)
        ),
        receipts=tuple(await receipts.of_organization(conn, organization_id, limit=SHOWN)),
        campaigns=tuple(
            [
                CampaignAt(
                    campaign=campaign,
                    position=positions[campaign.id],
                    unconfirmed=await progress.number_unconfirmed(conn, campaign),
                    wait=await progress.why_waits(conn, campaign, now=now),
                )
                for campaign in recent
            ]
        ),
        alerts=tuple(await alerts.standing(conn, organization_id)),
        foreign=tuple(
            await foreign_messages.totals(conn, organization_id, since=now - FOREIGN_SINCE)
        ),
        foreign_messages=tuple(await foreign_messages.newest(conn, organization_id, limit=SHOWN)),
    )
