"""Books messages that were sent although the database, which was restored, does not know it: each
is debited, unless it is paid for, and gets Twilio's answer.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import campaigns, messages, send_results, unmatched_messages
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from db.wallet import wallets
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import SentMessage
from domain.wallet.entries import debit
from domain.wallet.ledger import Debited, Wallet

UNPAID = frozenset({MessageStatus.PENDING, MessageStatus.SKIPPED})
"""What has no debit."""
OPEN = frozenset(
    {MessageStatus.RESERVED, MessageStatus.SENDING, MessageStatus.UNKNOWN, MessageStatus.PENDING}
)
_CANDIDATES = text(
    """
    SELECT id FROM messages m
    WHERE organization_id = :organization_id
      AND (recipient = ANY(CAST(:recipients AS text[])) OR recipient LIKE ANY(CAST(:beginnings AS text[])))
      AND (status = ANY(CAST(:open AS text[]))
           OR status = 'accepted' AND NOT sid_confirmed
           OR status = 'skipped'
              AND EXISTS (SELECT FROM unmatched_messages u WHERE u.organization_id = m.organization_id
                          AND u.message_id = m.id AND u.listed AND u.closed_at IS NULL))
    """
)
_BEGIN = text(  # it was handed over behind its debit, whatever Twilio's clock says
    """
    WITH begun AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS integer[]), CAST(:times AS timestamptz[]))
            AS t (id, attempt, created_at)
    )
    UPDATE messages m
    SET status = 'sending', attempt = b.attempt, problem = NULL,
        sending_at = greatest(b.created_at, d.created_at),
        sender = coalesce(m.sender, (SELECT sender FROM organizations WHERE id = :organization_id))
    FROM begun b JOIN ledger_entries d ON d.organization_id = :organization_id
        AND d.reference_id = 'message:' || b.id || ':' || b.attempt
    WHERE m.organization_id = :organization_id AND m.id = b.id
    """
)
_SKIP = text(
    """
    UPDATE messages SET status = 'skipped', problem = :problem, settled_at = clock_timestamp()
    WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) AND status = 'pending'
    """
)
_NOT_PAID = "Twilio has sent it, and the wallet cannot pay for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One of our messages, and the message at Twilio that it is."""

    message: Message
    sent: SentMessage
    reply: Reply


async def candidates(
    conn: AsyncConnection, organization_id: str, sent: Collection[SentMessage]
) -> list[Message]:
    """Messages to the same recipients that the database does not know to be sent; those that were
    begun come first.
    """
    numbers = {message.to.rpartition(":")[2].strip() for message in sent}
    whole = {number for number in numbers if number[1:].isdigit()}
    masked = {number.rstrip("Xx*") for number in numbers - whole}
    params = {
        "organization_id": organization_id,
        "recipients": sorted(whole),
        "beginnings": [f"{number}%" for number in sorted(masked)],
        "open": [status.value for status in OPEN],
    }
    ids: Sequence[UUID] = (await conn.execute(_CANDIDATES, params)).scalars().all()
    found = await messages.in_window(conn, organization_id, list(ids))
    order = (
        MessageStatus.ACCEPTED,
        MessageStatus.SENDING,
        MessageStatus.UNKNOWN,
        MessageStatus.RESERVED,
    )
    return sorted(
        found,
        key=lambda each: order.index(each.status) if each.status in order else len(order),
    )


async def book(
    conn: AsyncConnection, organization_id: str, matches: Sequence[Match], *, finally_: bool
) -> list[Match]:
    """Debit and settle the matched messages; returns those that the wallet could not pay, and those
    that changed meanwhile.

    The fence does not refuse these debits; the gate, a freeze and the balance do. `finally_`: what
    cannot be paid is skipped, so that it is not sent again, and named. Locks the campaigns, the
    wallet, the messages; the caller commits.
    """
    for campaign_id in sorted(
        {match.message.campaign_id for match in matches if match.message.campaign_id is not None}
    ):
        await campaigns.lock(conn, organization_id, campaign_id)
    wallet = await wallets.lock(conn, organization_id)
    if wallet is None:
        return list(matches)
    ids = [match.message.id for match in matches]
    now = {message.id: message for message in await messages.lock(conn, organization_id, ids)}
    current = [match for match in matches if now.get(match.message.id) == match.message]
    changed = [match for match in matches if match not in current]
    paid, unpaid = await _pay(conn, wallet, current)
    await _settle(conn, organization_id, paid)
    if finally_ and unpaid:
        await _skip(conn, organization_id, unpaid)
    return [*unpaid, *changed]


async def _pay(
    conn: AsyncConnection, wallet: Wallet, matches: Sequence[Match]
) -> tuple[list[Match], list[Match]]:
    """Those that are paid now or were before, with the attempt that was sent, and the others."""
    to_pay = [_anew(match) for match in matches if match.message.status in UNPAID]
    paid = [match for match in matches if match.message.status not in UNPAID]
    postings = [debit(match.message.debit_reference, match.message.price) for match in to_pay]
    outcomes = await wallets.post_locked(conn, replace(wallet, fenced=False), postings)
    done = [isinstance(outcome, Debited) for outcome in outcomes]
    paid += [match for match, is_paid in zip(to_pay, done, strict=True) if is_paid]
    return paid, [match for match, is_paid in zip(to_pay, done, strict=True) if not is_paid]


def _anew(match: Match) -> Match:
    message = replace(match.message, attempt=match.message.attempt + 1)
    return replace(match, message=message, reply=replace(match.reply, message=message))


async def _settle(conn: AsyncConnection, organization_id: str, matches: Sequence[Match]) -> None:
    if not matches:
        return
    params = {
        "organization_id": organization_id,
        "ids": [match.message.id for match in matches],
        "attempts": [match.message.attempt for match in matches],
        "times": [match.sent.created_at for match in matches],
    }
    await conn.execute(_BEGIN, params)
    wallet = await wallets.lock(conn, organization_id)  # as the debits left it
    await send_results.settle_locked(
        conn, organization_id, wallet, [match.reply for match in matches]
    )
    await unmatched_messages.mark_matched(
        conn, organization_id, [match.sent.sid for match in matches]
    )


async def _skip(conn: AsyncConnection, organization_id: str, unpaid: Sequence[Match]) -> None:
    ids = [match.message.id for match in unpaid]
    await conn.execute(
        _SKIP, {"organization_id": organization_id, "ids": ids, "problem": _NOT_PAID}
    )
    await unmatched_messages.note(
        conn,
        [
            unmatched_messages.Unmatched(
                organization_id=organization_id,
                message_sid=match.sent.sid,
                problem=f"message {match.message.id}: {_NOT_PAID}",
                listed=True,
                message_id=match.message.id,
                created_at=match.sent.created_at,
            )
            for match in unpaid
        ],
    )
