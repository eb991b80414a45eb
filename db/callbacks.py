"""Status callbacks: ranked, so that duplicates and reorderings change nothing; what Twilio gave back is refunded."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts, campaigns, messages, reservations
from db.campaigns import TOLLGATE
from db.messages import Message
from db.reservations import Reply
from db.tables import messages as table
from domain.campaign import CampaignStatus, MessageStatus, Park
from domain.telephony import DeliveryStatus, StatusCallback, rank

ACCOUNT_SUSPENDED = 30002
_OPEN = (MessageStatus.SENDING, MessageStatus.UNKNOWN, MessageStatus.ACCEPTED)


class Applied(StrEnum):
    CHANGED = "changed"
    GIVEN_BACK = "given back unsent and refunded"
    NOTHING_NEW = "nothing new"
    NOT_OURS = "no such message"
    TOO_LATE = "of an attempt that was settled otherwise"


async def apply(conn: AsyncConnection, organization_id: str, callback: StatusCallback) -> Applied:
    """Write down what a verified callback tells of a message. Any number of times; the caller commits."""
    message = await _find(conn, organization_id, callback)
    if message is None:
        return Applied.NOT_OURS
    if callback.status is None:
        return Applied.NOTHING_NEW
    if message.status is MessageStatus.LOST:
        detail = f"message {message.id} was given up and refunded; Twilio now says {callback.status}"
        await alerts.raise_(conn, organization_id, "sent_after_refund", detail)
        return Applied.TOO_LATE
    if message.status not in _OPEN or not _same_attempt(message, callback):
        return Applied.TOO_LATE
    lower = [status.value for status in DeliveryStatus if rank(status) < rank(callback.status)]
    if callback.status is DeliveryStatus.FAILED and callback.error_code == ACCOUNT_SUSPENDED:
        if message.delivery_status is not None and message.delivery_status not in lower:
            return Applied.NOTHING_NEW  # what has ended is not sent again
        return await _give_back(conn, message, callback)
    changed = await conn.execute(
        update(table)
        .where(table.c.organization_id == organization_id, table.c.id == message.id)
        .where(table.c.attempt == message.attempt, table.c.status.in_([status.value for status in _OPEN]))
        .where(or_(table.c.delivery_status.is_(None), table.c.delivery_status.in_(lower)))
        .values(
            status=MessageStatus.ACCEPTED.value,
            provider_sid=callback.message_sid,
            delivery_status=callback.status.value,
            error_code=callback.error_code,
            settled_at=func.coalesce(table.c.settled_at, func.clock_timestamp()),
        )
        .returning(table.c.id)
    )
    return Applied.NOTHING_NEW if changed.one_or_none() is None else Applied.CHANGED


async def _give_back(conn: AsyncConnection, message: Message, callback: StatusCallback) -> Applied:
    """Twilio failed it because the account was suspended, and charges nothing: refund it, and send it again later."""
    campaign = None
    if message.campaign_id is not None:
        campaign = await campaigns.lock(conn, message.organization_id, message.campaign_id)
    reply = Reply(
        message=message,
        status=MessageStatus.REFUSED if campaign is None else MessageStatus.PENDING,
        error_code=callback.error_code,
        problem="the account was suspended before it was sent",
        after_acceptance=True,
    )
    if not await reservations.settle(conn, message.organization_id, [reply]):
        return Applied.NOTHING_NEW
    if campaign is not None and campaign.status is CampaignStatus.COMPLETED:
        await campaigns.change(conn, campaign, CampaignStatus.PARKED, by=TOLLGATE, reason=Park.SUSPENDED.value)
    return Applied.GIVEN_BACK


async def _find(conn: AsyncConnection, organization_id: str, callback: StatusCallback) -> Message | None:
    if callback.attempt_id is not None:
        found = await messages.get(conn, organization_id, _message_id(callback.attempt_id))
        if found is not None:
            return found
    return await messages.by_provider_sid(conn, organization_id, callback.message_sid)


def _message_id(attempt_id: str) -> UUID:
    try:
        return UUID(attempt_id.partition(".")[0])
    except ValueError:
        return UUID(int=0)


def _same_attempt(message: Message, callback: StatusCallback) -> bool:
    if message.provider_sid is not None:
        return message.provider_sid == callback.message_sid
    return callback.attempt_id is None or callback.attempt_id == message.attempt_id
