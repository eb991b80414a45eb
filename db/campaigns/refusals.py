"""Twilio's refusals that affect more than one message: what they stop, and what continues once the
cause is fixed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.campaigns import campaigns, runs, send_results, transitions
from db.campaigns.send_results import Reply
from db.campaigns.transitions import TOLLGATE
from db.lifecycle import standings
from db.wallet import wallets
from domain.alerts import AlertKind
from domain.campaigns import delivery_failure
from domain.campaigns.campaign import Act, CampaignStatus, MessageStatus, Park, kept_by
from domain.campaigns.delivery_failure import SEVERAL, STOPS, About
from domain.campaigns.send_refusal import (
    IN_WORDS,
    Answer,
    Refused,
    Stop,
    Taken,
    judge,
    judge_deliveries,
    of,
)
from domain.campaigns.telephony import DeliveryStatus
from domain.campaigns.waits import Waits
from domain.lifecycle.standing import Status

"""An alert kind: messages failed because of the sender, the account or our request, although no
campaign is parked.
"""
MAY_BE_THE_SENDER = frozenset({Park.SENDER_REFUSED, Park.DESTINATION_REFUSED, Park.REFUSED})
"""Refusals that another sender may avoid: some destinations are closed to one sender only, and an
unknown code may mean anything.
"""
BY_THE_SENDER = frozenset({*IN_WORDS, Park.SENDER_COSTS_MORE})
_LOOKED_AT = 200
_LATEST = text(
    """
    SELECT status, delivery_status, error_code, provider_sid FROM messages
    WHERE (sender IS NULL OR sender = :sender)
      AND organization_id = :organization_id AND campaign_id = :campaign_id
      AND position BETWEEN :position - :number AND :position - 1
      AND sending_at > (SELECT at FROM campaign_changes
                        WHERE organization_id = :organization_id AND campaign_id = :campaign_id
                          AND to_status = 'running' ORDER BY id DESC LIMIT 1)
    ORDER BY position DESC
    """
)
_SENDER = text("SELECT sender FROM organizations WHERE id = :organization_id")
_SENDER_KEPT = text("SELECT sender FROM organizations WHERE id = :organization_id FOR SHARE")
FORGOTTEN_AFTER = timedelta(days=1)
_FORGET_LIMITS = text(
    """
    UPDATE campaigns
    SET waits_for = '', waits_until = NULL, detail = CASE WHEN status = 'running' THEN '' ELSE detail END
    WHERE organization_id = :organization_id AND waits_for = :waits_for AND status IN ('running', 'parked')
    """
)
_ARRIVED = frozenset({DeliveryStatus.DELIVERED, DeliveryStatus.READ})
_ENDED_BADLY = frozenset({DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How the messages of a running campaign fared with the organization's present `sender`.

    `in_a_row` were refused last, `several` of those stop it. `stop`: failures at carriers of
    accepted messages show that it cannot continue.
    """

    in_a_row: int
    several: int
    stop: Stop | None
    sender: str
    waits_for: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A failed message: Twilio's code and, if known, its sender."""

    code: int | None
    sender: str | None


async def course(conn: AsyncConnection, organization_id: str, campaign_id: UUID) -> Course | None:
    """Judges the latest messages only. None: there is no such campaign.

    Refusals of a former sender say nothing about the present one.
    """
    campaign = await campaigns.get(conn, organization_id, campaign_id)
    if campaign is None:
        return None
    sender = await _sender(conn, organization_id)
    position = (
        await campaigns.next_position(conn, organization_id, campaign_id) or campaign.total + 1
    )
    params = {
        "organization_id": organization_id,
        "campaign_id": campaign_id,
        "position": position,
        "sender": sender,
    }
    latest = (await conn.execute(_LATEST, params | {"number": _LOOKED_AT})).all()
    several = max(1, min(SEVERAL, campaign.total))
    return Course(
        in_a_row=judge(
            [_handed_over(row) for row in reversed(latest)], several=len(latest) + 1
        ).in_a_row,
        several=several,
        stop=judge_deliveries(_delivered(row) for row in latest),
        sender=sender,
        waits_for=campaign.waits_for,
    )


async def stop(
    conn: AsyncConnection,
    organization_id: str,
    campaign_id: UUID,
    replies: Sequence[Reply],
    why: Stop,
    *,
    sender: str,
) -> bool:
    """Settle the refused window, park its campaign and raise an alert, in one transaction.

    False: it no longer runs, or `sender`, which the messages used, was changed since and may have
    been the cause. Locks the organization, the campaign, the wallet, the messages; the caller
    commits.
    """
    now = (
        await conn.execute(_SENDER_KEPT, {"organization_id": organization_id})
    ).scalar_one_or_none()
    campaign = await campaigns.lock(conn, organization_id, campaign_id)
    await send_results.settle(conn, organization_id, replies)
    if campaign is None or campaign.status is not CampaignStatus.RUNNING:
        return False
    if why.park in MAY_BE_THE_SENDER and now != sender:
        return False
    await transitions.change(
        conn, campaign, Act.PARK, by=TOLLGATE, reason=why.park, detail=why.text
    )
    await alerts.raise_(
        conn, organization_id, AlertKind.CAMPAIGN_REFUSED, runs.sentence(campaign_id, why.text)
    )
    return True


async def tell(conn: AsyncConnection, organization_id: str, failed: Collection[Failed]) -> None:
    """Raise an alert if messages failed because of the present sender, the account or our request.
    The caller commits.
    """
    telling = [
        failure for failure in failed if failure.code is not None and _concerns_others(failure.code)
    ]
    present = await _sender(conn, organization_id) if telling else ""
    for failure in telling:
        former = failure.sender not in (None, present)
        if failure.code is not None and not (
            former and delivery_failure.about(failure.code) is About.SENDER
        ):
            await alerts.raise_(
                conn, organization_id, AlertKind.SENDING_REFUSED, of(failure.code).text
            )
            return


async def forget(conn: AsyncConnection, *, now: datetime) -> None:
    """Clear that alert after a day without such failures: the cause was fixed at Twilio. The caller
    commits.
    """
    await alerts.clear_unseen(conn, AlertKind.SENDING_REFUSED, since=now - FORGOTTEN_AFTER)


async def resume_with_new_sender(conn: AsyncConnection, organization_id: str) -> list[UUID]:
    """Resume campaigns that the former sender stopped: those that refusals parked, those that it
    would have made dearer, and those that wait for a rate limit; returns those to notify.

    Locks the standing, the campaigns and the wallet; the caller commits.
    """
    await standings.lock(conn, organization_id)
    await alerts.clear(conn, organization_id, AlertKind.SENDING_REFUSED)
    unfinished = await transitions.lock_in_status(
        conn, organization_id, CampaignStatus.RUNNING, CampaignStatus.PARKED
    )
    await conn.execute(
        _FORGET_LIMITS, {"organization_id": organization_id, "waits_for": Waits.TWILIO_LIMIT}
    )
    limited = [
        campaign.id
        for campaign in unfinished
        if campaign.status is CampaignStatus.RUNNING and campaign.waits_for == Waits.TWILIO_LIMIT
    ]
    return [*limited, *await go_on(conn, organization_id, BY_THE_SENDER)]


async def go_on(
    conn: AsyncConnection, organization_id: str, reasons: Collection[Park]
) -> list[UUID]:
    """Resume campaigns that are parked for one of these reasons; returns those to notify.

    Campaigns of an organization that may not send wait for that instead, like any other. Locks the
    standing, the campaigns and the wallet; the caller commits.
    """
    standing = await standings.lock(conn, organization_id)
    unfinished = await transitions.lock_in_status(conn, organization_id, CampaignStatus.PARKED)
    stopped = [campaign for campaign in unfinished if campaign.reason in reasons]
    wallet = await wallets.watch(conn, organization_id) if stopped else None
    if standing is None or wallet is None:
        return []
    park = Park.SUSPENDED if standing.status is not Status.ACTIVE else kept_by(wallet)
    for campaign in stopped:
        act = Act.GO_ON if park is None else Act.PARK
        await transitions.change(conn, campaign, act, by=TOLLGATE, reason=park or "")
    return [campaign.id for campaign in stopped] if park is None else []


async def _sender(conn: AsyncConnection, organization_id: str) -> str:
    sender: str = (await conn.execute(_SENDER, {"organization_id": organization_id})).scalar_one()
    return sender


def _concerns_others(code: int) -> bool:
    return delivery_failure.about(code) in STOPS - {
        About.CONTENT
    } and not delivery_failure.suspended(code)


def _handed_over(row: Row[Any]) -> Answer:
    """Twilio's answer to the hand-over."""
    if row.status == MessageStatus.REFUSED and row.provider_sid is None:
        return Refused(row.error_code or 0)
    return Taken() if row.status == MessageStatus.ACCEPTED or row.provider_sid is not None else None


def _delivered(row: Row[Any]) -> Answer:
    """The outcome of a message that Twilio accepted."""
    if row.delivery_status in _ARRIVED:
        return Taken()
    if row.delivery_status in _ENDED_BADLY and row.error_code is not None:
        return Refused(row.error_code)
    return None
