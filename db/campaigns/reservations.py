"""Pays for messages before they are sent: reserve, hand over in small windows, record Twilio's
answers.

Locks are taken in the order campaign, wallet, messages; a message and its money change in the same
transaction.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import campaigns, messages, runs, transitions
from db.campaigns import reservation_statements as statements
from db.campaigns.campaigns import Campaign
from db.campaigns.messages import Message
from db.campaigns.transitions import TOLLGATE
from db.campaigns.windows import make_batch, quiet_hours_at, sending
from db.tables.campaigns import messages as table
from db.tables.lifecycle import organizations
from db.wallet import wallets
from domain.campaigns.campaign import Act, Batch, CampaignStatus, MessageStatus, Next, Park, kept_by
from domain.campaigns.waits import LONGEST_PAID, Waits, in_words, too_dear
from domain.money import Money
from domain.wallet.entries import debit
from domain.wallet.ledger import Debited, Outcome, Wallet, WalletNotFound

QUIET_SELF_CHECK = timedelta(hours=6)
_SENDER_PROBLEM = select(organizations.c.sender_problem).where(
    organizations.c.id == bindparam("of")
)


class DifferentMessage(Exception):
    """The idempotency key was used before, for another message."""


async def reserve(
    conn: AsyncConnection, organization_id: str, campaign_id: UUID, *, limit: int, now: datetime
) -> Batch | None:
    """Debit the campaign's next messages, as many as the wallet covers, or park the campaign with
    the reason.

    Messages that an earlier reservation paid and did not send come first, and are not paid again.
    None: no such campaign. Locks the campaign, then the wallet; the caller commits.
    """
    campaign = await campaigns.lock(conn, organization_id, campaign_id)
    if campaign is None:
        return None
    quiet = quiet_hours_at(campaign, now)
    waiting = await _waiting(conn, campaign, quiet)
    if (batch := _not_now(campaign, waiting.position, now)) is not None:
        return batch
    await runs.mark_alive(conn, organization_id, campaign_id)
    wallet = await wallets.lock(conn, organization_id)
    if wallet is None:
        return None
    if (kept := await _kept(conn, wallet)) is not None:
        return await _park(conn, campaign, kept[0], waiting.position, kept[1])
    if campaign.status is CampaignStatus.SCHEDULED:
        campaign = await transitions.change(conn, campaign, Act.BEGIN, by=TOLLGATE)
    if waiting.reserved:
        return await sending(conn, campaign, waiting.position, waiting.reserved, now)
    if waiting.position is None:
        return await _handed_over(conn, campaign, waiting.unknown)
    # a single message shows whether Twilio takes the account's messages again
    most = 1 if campaign.waits_for == Waits.ACCOUNT_NOT_ACTIVE else limit
    rows = await _next(conn, campaign, most, quiet)
    if not rows:
        return await _leave_alone(conn, campaign, waiting.position, now)
    reserved = await _pay_for(conn, campaign, wallet, rows)
    if not reserved:
        has, costs = (
            Money(micros, wallet.currency)
            for micros in (wallet.available_micros, rows[0].price_micros)
        )
        detail = too_dear(has, costs)
        return await _park(conn, campaign, Park.INSUFFICIENT_FUNDS, waiting.position, detail)
    return await sending(conn, campaign, waiting.position, reserved, now)


async def _kept(conn: AsyncConnection, wallet: Wallet) -> tuple[Park, str] | None:
    """What keeps also paid messages from being sent, and its detail; an empty wallet does not."""
    park = kept_by(wallet)
    if park is not None and park is not Park.INSUFFICIENT_FUNDS:
        return park, ""
    problem = (await conn.execute(_SENDER_PROBLEM, {"of": wallet.organization_id})).scalar_one()
    return (Park.SENDER_COSTS_MORE, problem) if problem else None


def _not_now(campaign: Campaign, position: int | None, now: datetime) -> Batch | None:
    """None if it runs and waits for nothing, or its scheduled time has come."""
    match campaign.status:
        case CampaignStatus.RUNNING:
            return _until(campaign, position, now)
        case CampaignStatus.SCHEDULED if campaign.scheduled_at is not None:
            begins_in = (campaign.scheduled_at - now).total_seconds()
            return (
                None
                if begins_in <= 0
                else replace(make_batch(campaign, Next.STOP, 1), begins_in=begins_in)
            )
        case CampaignStatus.CANCELED:
            return make_batch(campaign, Next.DONE, position)
        case _:
            return make_batch(campaign, Next.STOP, position)


def _until(campaign: Campaign, position: int | None, now: datetime) -> Batch | None:
    """Whether its sender requested a pause that still lasts; quiet hours are evaluated again."""
    until = campaign.waits_until
    if until is None or until <= now or campaign.waits_for == Waits.QUIET_HOURS:
        return None
    later = _for_later(campaign, position, campaign.waits_for, campaign.detail, until - now)
    return replace(later, stays_paid=until - now <= LONGEST_PAID)


def _for_later(
    campaign: Campaign, position: int | None, why: str, detail: str, rest: timedelta
) -> Batch:
    stopped = make_batch(campaign, Next.STOP, position)
    return replace(
        stopped,
        reason=why,
        detail=detail or in_words(why),
        begins_in=max(1.0, rest.total_seconds()),
    )


async def _park(
    conn: AsyncConnection, campaign: Campaign, why: Park, position: int | None, detail: str = ""
) -> Batch:
    parked = await transitions.change(
        conn, campaign, Act.PARK, by=TOLLGATE, reason=why, detail=detail
    )
    return make_batch(parked, Next.STOP, position)


async def _handed_over(conn: AsyncConnection, campaign: Campaign, unknown: int) -> Batch:
    if unknown:
        await runs.note(conn, campaign.organization_id, campaign.id, Waits.UNCONFIRMED)
        waiting = make_batch(campaign, Next.WAIT_FOR_UNKNOWN, None)
        return replace(
            waiting,
            reason=Waits.UNCONFIRMED,
            detail=in_words(Waits.UNCONFIRMED),
            unconfirmed=unknown,
        )
    completed = await transitions.change(conn, campaign, Act.COMPLETE, by=TOLLGATE)
    return make_batch(completed, Next.DONE, None)


async def _next(
    conn: AsyncConnection, campaign: Campaign, limit: int, quiet: list[str]
) -> Sequence[Row[Any]]:
    params = {
        "organization_id": campaign.organization_id,
        "campaign_id": campaign.id,
        "limit": limit,
        "quiet": quiet,
    }
    return (await conn.execute(statements.TO_SEND, params)).all()


async def _leave_alone(
    conn: AsyncConnection, campaign: Campaign, position: int, now: datetime
) -> Batch:
    """All remaining countries have quiet hours: check again when these end in the first of them."""
    params = {"organization_id": campaign.organization_id, "campaign_id": campaign.id}
    countries = (await conn.execute(statements.COUNTRIES, params)).scalars()
    ends = None if campaign.quiet_hours is None else campaign.quiet_hours.until(countries, now)
    ends = ends or now + QUIET_SELF_CHECK
    await runs.note(conn, campaign.organization_id, campaign.id, Waits.QUIET_HOURS, until=ends)
    return _for_later(campaign, position, Waits.QUIET_HOURS, "", ends - now)


async def _pay_for(
    conn: AsyncConnection, campaign: Campaign, wallet: Wallet, rows: Sequence[Row[Any]]
) -> int:
    """Reserve the messages that the wallet covers and skip recipients who opted out; returns the
    number of both.
    """
    affordable, skipped, left = [], [], wallet.available_micros
    for row in rows:  # in order of position: a cheaper message further down does not jump the queue
        if row.opted_out:
            skipped.append(row.id)
            continue
        left -= row.price_micros
        if left < 0:
            break
        affordable.append(row)
    if skipped:
        await conn.execute(
            statements.SKIP, {"organization_id": campaign.organization_id, "ids": skipped}
        )
    postings = [
        debit(
            messages.debit_reference(row.id, row.attempt + 1),
            Money(row.price_micros, wallet.currency),
        )
        for row in affordable
    ]
    if not postings:
        return len(skipped)
    outcomes = await wallets.post_locked(conn, wallet, postings)
    _all_debited(outcomes)
    paid = {"organization_id": campaign.organization_id, "ids": [row.id for row in affordable]}
    await conn.execute(statements.RESERVE, paid)
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

    The outcome is that of the debit; None for a repeated key, with the current message. An unpaid
    message is not stored. Raises `DifferentMessage`. Locks the wallet; the caller commits before it
    sends.
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
    [outcome] = await wallets.post_locked(
        conn, wallet, [debit(messages.debit_reference(message_id, 1), price)]
    )
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
            sender=select(organizations.c.sender)
            .where(organizations.c.id == organization_id)
            .scalar_subquery(),
            sending_at=func.clock_timestamp(),
            idempotency_key=key,
        )
    )
    return await messages.get(conn, organization_id, message_id), outcome


async def _waiting(conn: AsyncConnection, campaign: Campaign, quiet: list[str]) -> Any:
    params = {
        "organization_id": campaign.organization_id,
        "campaign_id": campaign.id,
        "quiet": quiet,
    }
    return (await conn.execute(statements.WAITING, params)).one()


def _all_debited(outcomes: Sequence[Outcome]) -> None:
    refused = [outcome for outcome in outcomes if not isinstance(outcome, Debited)]
    if refused:
        raise RuntimeError(f"a locked wallet refused what its balance covers: {refused[0]}")
