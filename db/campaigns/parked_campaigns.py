"""Campaigns that Tollgate parked for lack of permission or money: the reasons, and which of them
may run again.

Events that resume them and the upkeep that finds missed ones use one rule, so that no campaign is
resumed only to be parked again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import tables
from db.campaigns.campaigns import Campaign
from db.campaigns.transitions import TOLLGATE, change, lock_in_status
from db.lifecycle import standings
from db.wallet import wallets
from domain.campaigns.campaign import OUTRANKS, PASSES_BY_ITSELF, Act, CampaignStatus, Park, kept_by
from domain.campaigns.quiet_hours import QuietHours
from domain.campaigns.waits import too_dear
from domain.lifecycle.standing import Status
from domain.money import Money
from domain.wallet.ledger import Wallet

_REASONS = ", ".join(f"'{reason}'" for reason in sorted(PASSES_BY_ITSELF))
_MAY_PASS = f"status = 'parked' AND reason IN ({_REASONS})"
"""Written out: as parameters, the statement would be planned anew for each call."""
_QUIET_HOURS = text(
    f"""
    SELECT DISTINCT quiet_from, quiet_until FROM campaigns
    WHERE {_MAY_PASS} AND quiet_from IS NOT NULL AND (CAST(:of AS text) IS NULL OR organization_id = :of)
    """  # noqa: S608 - of constants
)
_NEXT_MESSAGE = """
    LEFT JOIN jsonb_to_recordset(CAST(:quiet AS jsonb)) AS q (begins time, ends time, countries text[])
        ON q.begins = c.quiet_from AND q.ends = c.quiet_until
    LEFT JOIN LATERAL (
        SELECT price_micros FROM messages m
        WHERE m.organization_id = c.organization_id AND m.campaign_id = c.id AND m.status = 'pending'
          AND coalesce(m.country, '') <> ALL(coalesce(q.countries, '{}'))
          AND NOT EXISTS (SELECT 1 FROM opt_outs o
                          WHERE o.organization_id = m.organization_id AND o.recipient = m.recipient)
        ORDER BY m.position LIMIT 1) sendable ON true
    LEFT JOIN LATERAL (
        SELECT price_micros FROM messages m
        WHERE sendable.price_micros IS NULL
          AND m.organization_id = c.organization_id AND m.campaign_id = c.id AND m.status = 'pending'
          AND NOT EXISTS (SELECT 1 FROM opt_outs o
                          WHERE o.organization_id = m.organization_id AND o.recipient = m.recipient)
        ORDER BY m.position LIMIT 1) quiet ON true
"""
_COSTS = "coalesce(sendable.price_micros, quiet.price_micros, 0)"
"""The cost of its next message: the first that may be sent now or, during quiet hours everywhere,
the first of all.
"""
_NEXT_COSTS = text(
    f"""
    SELECT c.id, {_COSTS} AS costs
    FROM (SELECT * FROM campaigns WHERE {_MAY_PASS} AND organization_id = :of) c {_NEXT_MESSAGE}
    """  # noqa: S608 - of constants
)
_MAY_GO_ON = text(
    f"""
    WITH allowed AS MATERIALIZED (  -- looks for no message of the many that are suspended
        SELECT c.organization_id, c.id, c.quiet_from, c.quiet_until,
               w.balance_micros - w.held_micros AS available
        FROM (SELECT * FROM campaigns WHERE {_MAY_PASS}) c
        JOIN standings s USING (organization_id) JOIN wallets w USING (organization_id)
        WHERE s.status = 'active' AND w.gate_open AND NOT w.frozen_by_suspension AND NOT w.frozen_by_operator
          AND w.balance_micros > w.held_micros AND NOT EXISTS (SELECT FROM fences WHERE opened_at IS NULL)
    )
    SELECT DISTINCT c.organization_id FROM allowed c {_NEXT_MESSAGE}
    WHERE {_COSTS} <= c.available LIMIT :limit
    """  # noqa: S608 - of constants
)


async def park_running(conn: AsyncConnection, organization_id: str, park: Park) -> list[UUID]:
    """Park every running campaign; returns those to notify. The caller holds the standing.

    Campaigns parked for a weaker reason are parked for this one from now on.
    """
    running = []
    for campaign in await lock_in_status(
        conn, organization_id, CampaignStatus.RUNNING, CampaignStatus.PARKED
    ):
        if campaign.status is CampaignStatus.RUNNING:
            running.append(campaign.id)
        elif campaign.reason not in OUTRANKS.get(park, ()):
            continue
        await change(conn, campaign, Act.PARK, by=TOLLGATE, reason=park.value)
    return running


async def organizations_with(conn: AsyncConnection, *statuses: CampaignStatus) -> list[str]:
    """The organizations that have campaigns in these statuses."""
    table = tables.campaigns.campaigns
    query = select(table.c.organization_id).where(
        table.c.status.in_([status.value for status in statuses])
    )
    return sorted((await conn.execute(query.distinct())).scalars())


async def resume_eligible(
    conn: AsyncConnection, organization_id: str, *, now: datetime
) -> list[UUID]:
    """Resume the parked campaigns whose next message may be sent and is covered; returns those to
    notify.

    There must be no block, the wallet open and not frozen, and its balance must cover the first
    message that may be sent now. Never resumes a campaign that a person paused or that Twilio's
    refusals stopped. Records what still stops the others. Locks the standing, the campaigns and the
    wallet. The caller commits.
    """
    standing = await standings.lock(conn, organization_id)
    if standing is None or standing.status is not Status.ACTIVE or standing.blocks:
        return []  # before locking a campaign: a caller that just suspended holds the wallet
    parked = await lock_in_status(conn, organization_id, CampaignStatus.PARKED)
    eligible = [campaign for campaign in parked if campaign.reason in PASSES_BY_ITSELF]
    wallet = await wallets.watch(conn, organization_id) if eligible else None
    if wallet is None or wallet.fenced:
        return []
    costs = await _costs(conn, organization_id, now)
    resumed = []
    for campaign in eligible:
        kept = _kept(wallet, costs.get(campaign.id, 0))
        if kept is None:
            await change(conn, campaign, Act.GO_ON, by=TOLLGATE)
            resumed.append(campaign.id)
        elif campaign.reason != kept.by:
            await change(
                conn,
                campaign,
                Act.PARK,
                by=TOLLGATE,
                reason=kept.by,
                detail=kept.detail,
            )
    return resumed


async def may_go_on(conn: AsyncConnection, *, now: datetime, limit: int) -> list[str]:
    """Organizations with a parked campaign that may continue, whichever event should have resumed
    it.
    """
    params = {"quiet": await _quiet(conn, None, now), "limit": limit}
    return list((await conn.execute(_MAY_GO_ON, params)).scalars())


async def shortage(conn: AsyncConnection, campaign: Campaign, *, now: datetime) -> str:
    """What a campaign parked for lack of money lacks now, in words; empty if it lacks nothing."""
    wallet = await wallets.get(conn, campaign.organization_id)
    costs = await _costs(conn, campaign.organization_id, now)
    return "" if wallet is None else _shortage(wallet, costs.get(campaign.id, 0))


@dataclass(frozen=True, slots=True)
class _Kept:
    by: Park
    detail: str = ""


def _kept(wallet: Wallet, costs: int) -> _Kept | None:
    park = kept_by(wallet)
    if park is not None and park is not Park.INSUFFICIENT_FUNDS:
        return _Kept(park)
    if park is None and costs <= wallet.available_micros:
        return None
    return _Kept(Park.INSUFFICIENT_FUNDS, _shortage(wallet, costs))


def _shortage(wallet: Wallet, costs: int) -> str:
    if costs <= wallet.available_micros:
        return ""
    return too_dear(Money(wallet.available_micros, wallet.currency), Money(costs, wallet.currency))


async def _costs(conn: AsyncConnection, organization_id: str, now: datetime) -> Mapping[UUID, int]:
    params = {"of": organization_id, "quiet": await _quiet(conn, organization_id, now)}
    return {row.id: row.costs for row in await conn.execute(_NEXT_COSTS, params)}


async def _quiet(conn: AsyncConnection, organization_id: str | None, now: datetime) -> str:
    """The countries where it is quiet now, by the quiet hours of parked campaigns."""
    rows = await conn.execute(_QUIET_HOURS, {"of": organization_id})
    return json.dumps(
        [
            {
                "begins": row.quiet_from.isoformat(),
                "ends": row.quiet_until.isoformat(),
                "countries": QuietHours(row.quiet_from, row.quiet_until).quiet_countries(now),
            }
            for row in rows
        ]
    )
