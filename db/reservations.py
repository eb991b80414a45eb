"""Paying for messages before they go: reserve, hand over in small windows, settle by what Twilio answered.

Locks are taken in the order campaign, wallet, messages; a message's money moves in the transaction that moves it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import campaigns, messages, progress, settlements, wallets
from db.campaigns import TOLLGATE, Campaign
from db.messages import Message
from db.settlements import Reply
from db.tables import messages as table
from domain.campaign import Batch, CampaignStatus, MessageStatus, Next, Park
from domain.money import Money
from domain.wallet import Debited, Outcome, Wallet, WalletNotFound, debit

_TO_SEND = text(
    """
    SELECT id, attempt, price_micros,
           EXISTS (SELECT 1 FROM opt_outs o
                   WHERE o.organization_id = m.organization_id AND o.recipient = m.recipient) AS opted_out
    FROM messages m
    WHERE organization_id = :organization_id AND campaign_id = :campaign_id AND status = 'pending'
    ORDER BY position LIMIT :limit
    """
)
_RESERVE = text(
    """
    WITH locked AS MATERIALIZED (
        SELECT id FROM messages WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))
        ORDER BY id FOR UPDATE
    )
    UPDATE messages m SET status = 'reserved', attempt = attempt + 1
    FROM locked WHERE m.organization_id = :organization_id AND m.id = locked.id
    """
)
_SKIP = text(
    """
    WITH locked AS MATERIALIZED (
        SELECT id FROM messages WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))
        ORDER BY id FOR UPDATE
    )
    UPDATE messages m
    SET status = 'skipped', problem = 'the recipient has opted out', settled_at = clock_timestamp()
    FROM locked WHERE m.organization_id = :organization_id AND m.id = locked.id
    """
)
_BEGIN = text(
    """
    WITH chosen AS MATERIALIZED (
        SELECT id FROM messages
        WHERE organization_id = :organization_id AND campaign_id = :campaign_id AND status = 'reserved'
        ORDER BY position LIMIT :limit
    ), locked AS MATERIALIZED (
        SELECT m.id FROM messages m JOIN chosen USING (id)
        WHERE m.organization_id = :organization_id AND m.status = 'reserved' ORDER BY m.id FOR UPDATE OF m
    )
    UPDATE messages m SET status = 'sending', sending_at = clock_timestamp()
    FROM locked WHERE m.organization_id = :organization_id AND m.id = locked.id
    RETURNING m.id, m.position, m.recipient, m.segments, m.price_micros, m.attempt, m.sending_at
    """
)
_WAITING = text(
    """
    SELECT count(*) FILTER (WHERE status = 'reserved') AS reserved,
           count(*) FILTER (WHERE status IN ('sending', 'unknown')) AS unknown,
           min(position) FILTER (WHERE status IN ('pending', 'reserved')) AS position
    FROM messages
    WHERE organization_id = :organization_id AND campaign_id = :campaign_id
      AND status IN ('pending', 'reserved', 'sending', 'unknown')
    """
)


class DifferentMessage(Exception):
    """The idempotency key was used before, for another message."""


def debit_reference(message_id: UUID, attempt: int) -> str:
    return f"message:{message_id}:{attempt}"


async def reserve(
    conn: AsyncConnection, organization_id: str, campaign_id: UUID, *, limit: int, now: datetime
) -> Batch | None:
    """Debit the campaign's next messages, as far as the wallet pays, or park the campaign with the reason.

    What an earlier reservation has paid for and not sent comes first, and is not paid again. None: no such campaign.
    Locks the campaign, then the wallet; the caller commits.
    """
    campaign = await campaigns.lock(conn, organization_id, campaign_id)
    if campaign is None:
        return None
    await campaigns.mark_heard(conn, organization_id, campaign_id)
    begins_in = 0.0 if campaign.scheduled_at is None else (campaign.scheduled_at - now).total_seconds()
    if begins_in > 0:
        return replace(_batch(campaign, Next.STOP, 1), begins_in=begins_in)
    waiting = await _waiting(conn, campaign)
    if campaign.status not in (CampaignStatus.RUNNING, CampaignStatus.SCHEDULED):
        over = campaign.status is CampaignStatus.CANCELED
        return _batch(campaign, Next.DONE if over else Next.STOP, waiting.position)
    wallet = await wallets.lock(conn, organization_id)
    if wallet is None:
        return None
    park = _closed(wallet)
    if park is None and campaign.status is CampaignStatus.SCHEDULED:
        campaign = await campaigns.change(conn, campaign, CampaignStatus.RUNNING, by=TOLLGATE)
    if park is None and waiting.reserved:
        return await _sending(conn, campaign, waiting.position, waiting.reserved, now)
    if park is None and waiting.position is None:
        if waiting.unknown:
            return _batch(campaign, Next.WAIT_FOR_UNKNOWN, None)
        campaign = await campaigns.change(conn, campaign, CampaignStatus.COMPLETED, by=TOLLGATE)
        return _batch(campaign, Next.DONE, None)
    reserved = 0 if park else await _pay_for_next(conn, campaign, wallet, limit)
    if reserved:
        return await _sending(conn, campaign, waiting.position, reserved, now)
    reason = park or Park.INSUFFICIENT_FUNDS
    campaign = await campaigns.change(conn, campaign, CampaignStatus.PARKED, by=TOLLGATE, reason=reason.value)
    return _batch(campaign, Next.STOP, waiting.position)


async def _pay_for_next(conn: AsyncConnection, campaign: Campaign, wallet: Wallet, limit: int) -> int:
    asked = {"organization_id": campaign.organization_id, "campaign_id": campaign.id, "limit": limit}
    rows = (await conn.execute(_TO_SEND, asked)).all()
    affordable, skipped, left = [], [], wallet.available_micros
    for row in rows:  # in the order of positions: a cheaper one further down does not jump the queue
        if row.opted_out:
            skipped.append(row.id)
            continue
        left -= row.price_micros
        if left < 0:
            break
        affordable.append(row)
    if skipped:
        await conn.execute(_SKIP, {"organization_id": campaign.organization_id, "ids": skipped})
    postings = [
        debit(debit_reference(row.id, row.attempt + 1), Money(row.price_micros, wallet.currency)) for row in affordable
    ]
    if not postings:
        return len(skipped)
    outcomes = await wallets.post_locked(conn, wallet, postings)
    _all_debited(outcomes)
    paid = {"organization_id": campaign.organization_id, "ids": [row.id for row in affordable]}
    await conn.execute(_RESERVE, paid)
    return len(affordable) + len(skipped)


async def pay_for_one(
    conn: AsyncConnection,
    organization_id: str,
    *,
    recipient: str,
    country: str | None = None,
    body: str,
    segments: int,
    price: Money,
    key: str,
) -> tuple[Message | None, Outcome | None]:
    """Debit one message and mark it for sending in the same transaction; once per key.

    The outcome is the debit's; None when the key came again, then the message is as it stands. A message that is not
    paid for is not stored. Raises `DifferentMessage`. Locks the wallet; the caller commits before it sends.
    """
    wallet = await wallets.lock(conn, organization_id)
    if wallet is None:
        return None, WalletNotFound(organization_id)
    before = await messages.by_key(conn, organization_id, key)
    if before is not None:
        if (before.recipient, before.body) != (recipient, body):
            raise DifferentMessage(key)
        return before, None
    message_id = uuid4()
    [outcome] = await wallets.post_locked(conn, wallet, [debit(debit_reference(message_id, 1), price)])
    if not isinstance(outcome, Debited):
        return None, outcome
    await conn.execute(
        insert(table).values(
            organization_id=organization_id,
            id=message_id,
            recipient=recipient,
            country=country,
            body=body,
            segments=segments,
            price_micros=price.micros,
            status=MessageStatus.SENDING.value,
            attempt=1,
            sending_at=func.clock_timestamp(),
            idempotency_key=key,
        )
    )
    return await messages.get(conn, organization_id, message_id), outcome


async def begin_window(
    conn: AsyncConnection, organization_id: str, campaign_id: UUID, *, limit: int
) -> list[Message] | None:
    """Mark the next reserved messages as being sent, if the gate still stands open; None when it does not.

    Holds the wallet's row, so that no gate shuts before this is committed, and the campaign's, so that a sender given
    up for dead and its successor never hold the same message. The caller commits, then posts them.
    """
    return await next_window(conn, organization_id, campaign_id, (), limit=limit)


async def next_window(
    conn: AsyncConnection, organization_id: str, campaign_id: UUID, replies: Sequence[Reply], *, limit: int
) -> list[Message] | None:
    """Settle the window that was posted and begin the next one, in one transaction. As `begin_window`.

    Locks the campaign, the wallet, then the messages.
    """
    campaign = await campaigns.lock(conn, organization_id, campaign_id)
    lock = wallets.lock if settlements.returns_money(replies) else wallets.watch
    wallet = await lock(conn, organization_id)
    await settlements.settle_locked(conn, organization_id, wallet, replies)
    if campaign is None or campaign.status is not CampaignStatus.RUNNING or wallet is None or not wallet.pays:
        return None
    asked = {"organization_id": organization_id, "campaign_id": campaign_id, "limit": limit}
    rows = await conn.execute(_BEGIN, asked)
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
        )
        for row in sorted(rows, key=lambda row: row.position)
    ]


async def release(conn: AsyncConnection, organization_id: str, campaign_id: UUID, why: str = "the gate shut") -> int:
    """Refund what is reserved and was not handed over, and make it pending again; returns how many.

    Locks the campaign, then the wallet; the caller commits.
    """
    await campaigns.lock(conn, organization_id, campaign_id)
    reserved = await messages.in_status(conn, organization_id, MessageStatus.RESERVED, campaign_id=campaign_id)
    replies = [Reply(message=one, status=MessageStatus.PENDING, problem=f"not sent: {why}") for one in reserved]
    return await settlements.settle(conn, organization_id, replies)


async def mark_unanswered(conn: AsyncConnection, organization_id: str, campaign_id: UUID) -> int:
    """What a dead sender left in its window may have been taken: it becomes UNKNOWN. Returns how many."""
    left = await messages.in_status(conn, organization_id, MessageStatus.SENDING, campaign_id=campaign_id)
    lost = [Reply(message=one, status=MessageStatus.UNKNOWN, problem="the sender died before it knew") for one in left]
    return await settlements.settle(conn, organization_id, lost)


async def _waiting(conn: AsyncConnection, campaign: Campaign) -> Any:
    asked = {"organization_id": campaign.organization_id, "campaign_id": campaign.id}
    return (await conn.execute(_WAITING, asked)).one()


def _closed(wallet: Wallet) -> Park | None:
    if not wallet.gate_open:
        return Park.SUSPENDED
    return Park.FROZEN if wallet.frozen else None


def _all_debited(outcomes: Sequence[Outcome]) -> None:
    refused = [outcome for outcome in outcomes if not isinstance(outcome, Debited)]
    if refused:
        raise RuntimeError(f"a locked wallet refused what its balance covers: {refused[0]}")


async def _sending(conn: AsyncConnection, campaign: Campaign, position: int, reserved: int, now: datetime) -> Batch:
    batch = _batch(campaign, Next.SEND, position, reserved=reserved)
    return replace(batch, per_second=round(await progress.rate(conn, campaign, position, now=now), 1))


def _batch(campaign: Campaign, what: Next, position: int | None, *, reserved: int = 0) -> Batch:
    return Batch(
        next=what,
        reserved=reserved,
        position=position,
        total=campaign.total,
        status=campaign.status.value,
        reason=campaign.reason,
    )
