"""Applies what we read about messages at Twilio: a reading outranks every callback, and only a
reading refunds an accepted message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.campaigns import (
    campaigns,
    message_events,
    messages,
    refusals,
    resends,
    send_results,
    status_checks,
    unpaid_sends,
)
from db.campaigns.messages import Message
from db.campaigns.reading_outcomes import Decided, is_refunded, of_what_is_open, too_old
from db.campaigns.refusals import Failed
from db.campaigns.send_results import Reply
from db.campaigns.status_checks import Check
from db.wallet import wallets
from domain.alerts import AlertKind
from domain.campaigns import delivery_failure
from domain.campaigns.campaign import CampaignStatus, MessageStatus, Park
from domain.campaigns.telephony import CLOCKS_DIFFER, TERMINAL, WENT_OUT, SentMessage

SURELY_THERE = timedelta(minutes=15)
"""This long after a callback Twilio shows the message, if ever."""
_WRITE = text(
    """
    UPDATE messages m
    SET status = 'accepted', sid_confirmed = true, delivery_status = t.status, error_code = t.code,
        settled_at = coalesce(m.settled_at, clock_timestamp())
    FROM unnest(CAST(:ids AS uuid[]), CAST(:statuses AS text[]), CAST(:codes AS integer[])) AS t (id, status, code)
    WHERE m.organization_id = :organization_id AND m.id = t.id
    """
)
_NOT_LISTED = "Twilio does not list the message that callbacks reported"
_NOT_FOUND = text(
    """
    UPDATE messages SET problem = :problem
    WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) AND status = 'accepted'
      AND NOT sid_confirmed
    """
)
_LOST = text(
    """
    WITH lost AS (
        SELECT attempt, sending_at FROM messages
        WHERE organization_id = :organization_id AND id = :id AND attempt = :attempt
          AND status = 'lost' AND provider_sid IS NULL
        UNION ALL SELECT attempt, sending_at FROM attempts
        WHERE organization_id = :organization_id AND message_id = :id AND attempt = :attempt
          AND status = 'lost' AND provider_sid IS NULL
    ), later AS (
        SELECT sending_at FROM messages WHERE organization_id = :organization_id AND id = :id
        UNION ALL SELECT sending_at FROM attempts WHERE organization_id = :organization_id AND message_id = :id
    )
    SELECT lost.sending_at, (SELECT min(sending_at) FROM later WHERE sending_at > lost.sending_at) AS next_at
    FROM lost WHERE lost.sending_at IS NOT NULL
    """
)
"""An attempt that was given up while its Twilio message was unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A message as Twilio has it, None if Twilio does not have it; `check` says why it was read."""

    check: Check
    sent: SentMessage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    refunded: int = 0
    look_up: tuple[UUID, ...] = ()


async def apply(
    conn: AsyncConnection, organization_id: str, readings: Sequence[Reading], *, now: datetime
) -> Outcome:
    """Record what Twilio says of an organization's messages: final statuses, refunds,
    contradictions.

    Messages that failed because the account was suspended become pending again. `look_up` names
    messages whose Twilio id only callbacks report: they must be found in Twilio's list. Idempotent.
    Locks the campaigns, the wallet, the messages; the caller commits.
    """
    ids = {reading.check.message_id for reading in readings}
    await _lock_campaigns(
        conn, organization_id, await messages.in_window(conn, organization_id, list(ids))
    )
    wallet = await wallets.lock(conn, organization_id)
    locked = {row.id: row for row in await messages.lock(conn, organization_id, ids)}
    decided = Decided()
    for reading in readings:
        message = locked.get(reading.check.message_id)
        if message is None:
            decided.done.append(reading.check)
        elif reading.sent is None:
            await _not_there(conn, decided, message, reading.check, now)
        elif is_refunded(message, reading.check, reading.sent):
            await _of_what_was_refunded(conn, decided, message, reading.check, reading.sent, now)
        else:
            of_what_is_open(decided, message, reading.check, reading.sent, now)
    refunded = await send_results.settle_locked(conn, organization_id, wallet, decided.replies)
    await _write(conn, organization_id, decided)
    await _run_again(conn, organization_id, decided.replies)
    await refusals.tell(
        conn,
        organization_id,
        [Failed(reply.error_code, reply.message.sender) for reply in decided.replies],
    )
    return Outcome(refunded=refunded, look_up=tuple(decided.look_up))


async def settle(conn: AsyncConnection, organization_id: str, replies: Sequence[Reply]) -> int:
    """Record the outcome of messages found in Twilio's list; returns how many were still open.

    Locks the campaigns, the wallet, the messages; the caller commits.
    """
    await _lock_campaigns(conn, organization_id, [reply.message for reply in replies])
    settled = await send_results.settle(conn, organization_id, replies)
    await _run_again(conn, organization_id, replies)
    return settled


async def leave_to_a_person(
    conn: AsyncConnection, organization_id: str, checks: Sequence[Check], unsure: Sequence[str]
) -> None:
    """End the checks of messages that callbacks reported and that are missing from Twilio's
    list.
    """
    ids = sorted({check.message_id for check in checks})
    await conn.execute(
        _NOT_FOUND, {"organization_id": organization_id, "ids": ids, "problem": _NOT_LISTED}
    )
    await status_checks.done(conn, organization_id, checks)
    await alerts.raise_(
        conn, organization_id, AlertKind.REFUND_UNCONFIRMED, "; ".join(unsure[:5]) or _NOT_LISTED
    )


async def _lock_campaigns(
    conn: AsyncConnection, organization_id: str, of: Sequence[Message]
) -> None:
    for campaign_id in sorted(
        {message.campaign_id for message in of if message.campaign_id is not None}
    ):
        await campaigns.lock(conn, organization_id, campaign_id)


async def _run_again(conn: AsyncConnection, organization_id: str, replies: Sequence[Reply]) -> None:
    """Resume a completed campaign when messages of it are pending again."""
    for campaign_id in {
        reply.message.campaign_id for reply in replies if reply.status is MessageStatus.PENDING
    }:
        campaign = (
            None if campaign_id is None else await campaigns.get(conn, organization_id, campaign_id)
        )
        if campaign is not None and campaign.status is CampaignStatus.COMPLETED:
            await resends.reopen_parked(conn, campaign, Park.SUSPENDED)


async def _not_there(
    conn: AsyncConnection, decided: Decided, message: Message, check: Check, now: datetime
) -> None:
    """Forged, erased at Twilio, or too recent to be found: no reason to refund."""
    if check.since is not None and now - check.since < SURELY_THERE:
        return
    decided.done.append(check)
    if message.is_taken_on_trust:
        decided.look_up.append(message.id)  # the id in a callback may be forged
    named = await messages.named_by(conn, message.organization_id, [check.message_sid])
    if check.reported is None or not any(
        sent.message_id == message.id and sent.confirmed for sent in named
    ):
        return
    left = "nothing was refunded"
    if message.status in send_results.RETURNED:
        left = "it was refunded, and whether it was sent can no longer be read"
    decided.alerts[AlertKind.REFUND_UNCONFIRMED] = (
        f"a callback reported {check.message_sid} of message {message.id} as {check.reported}; "
        f"Twilio no longer has it: {left}"
    )


async def _of_what_was_refunded(
    conn: AsyncConnection,
    decided: Decided,
    message: Message,
    check: Check,
    sent: SentMessage,
    now: datetime,
) -> None:
    """It was refunded, or returned unsent and paid again: if it was sent nevertheless, that send is
    unpaid.
    """
    attempt = await _stood_for(conn, message, check, sent)
    if attempt is None or sent.status is None:
        decided.done.append(check)
    elif sent.status in WENT_OUT and not delivery_failure.refunded(sent.status, sent.error_code):
        decided.done.append(check)
        if await unpaid_sends.note(conn, message, attempt, sent.sid, sent.status):
            decided.alerts[AlertKind.SENT_AFTER_REFUND] = (
                f"message {message.id}, attempt {attempt}, was refunded; Twilio reports "
                f"{sent.sid} as {sent.status}"
            )
    elif sent.status in TERMINAL or too_old(check, now):
        decided.done.append(check)


async def _stood_for(
    conn: AsyncConnection, message: Message, check: Check, sent: SentMessage
) -> int | None:
    """The refunded attempt that the Twilio message probably belongs to; None if there is none."""
    for named in await messages.named_by(conn, message.organization_id, [sent.sid]):
        return named.attempt if named.message_id == message.id else None
    params = {
        "organization_id": message.organization_id,
        "id": message.id,
        "attempt": check.attempt,
    }
    lost = (await conn.execute(_LOST, params)).one_or_none()
    if (
        lost is None
        or sent.created_at is None
        or not sent.outbound
        or not sent.may_be_to(message.recipient)
    ):
        return None
    before_the_next = lost.next_at is None or sent.created_at < lost.next_at - CLOCKS_DIFFER
    return (
        check.attempt
        if before_the_next and sent.created_at >= lost.sending_at - CLOCKS_DIFFER
        else None
    )


async def _write(conn: AsyncConnection, organization_id: str, decided: Decided) -> None:
    if decided.words:
        params = {
            "organization_id": organization_id,
            "ids": [word.message_id for word in decided.words],
            "statuses": [word.status.value for word in decided.words],
            "codes": [word.code for word in decided.words],
        }
        await conn.execute(_WRITE, params)
        before = {(organization_id, word.message_id): word.before for word in decided.words}
        now = {(organization_id, word.message_id): word.status for word in decided.words}
        await message_events.tell(conn, before, now)
    await status_checks.done(conn, organization_id, decided.done)
    for kind, detail in sorted(decided.alerts.items()):
        await alerts.raise_(conn, organization_id, kind, detail)
    if decided.done:
        await unpaid_sends.clear_alert(conn, organization_id)
