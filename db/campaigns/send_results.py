"""Send results: records the outcome of each attempt once, and refunds what Twilio did not
accept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import message_events
from db.campaigns.messages import Message
from db.events.log import appending_sql
from db.wallet import wallets
from domain.campaigns import delivery_failure
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import DeliveryStatus
from domain.events.catalogue import EventType
from domain.redaction import redact_text
from domain.wallet.entries import refund
from domain.wallet.ledger import Wallet

RETURNED = frozenset({MessageStatus.REFUSED, MessageStatus.LOST, MessageStatus.PENDING})
"""The outcomes whose debit is refunded."""
_OPTED_OUT = appending_sql(
    EventType.RECIPIENT_OPTED_OUT,
    "(SELECT min(CAST(id AS text)) AS id FROM remembered JOIN settled USING (recipient) WHERE opted_out"
    " GROUP BY recipient) refused",
    "CAST(:organization_id AS text)",
    {"message_id": "id"},
)
_SETTLE = text(
    f"""
    WITH reply AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS integer[]), CAST(:statuses AS text[]),
                             CAST(:sids AS text[]), CAST(:delivery AS text[]), CAST(:codes AS integer[]),
                             CAST(:problems AS text[]), CAST(:after_acceptance AS boolean[]),
                             CAST(:opted_out AS boolean[]))
             AS r (id, attempt, status, provider_sid, delivery_status, error_code, problem, after_acceptance, opted_out)
    ), locked AS MATERIALIZED (  -- in the order of ids, as everybody does: two that settle the same must not deadlock
        SELECT m.id, m.status AS status_before, m.provider_sid AS sid_before
        FROM messages m JOIN reply USING (id)
        WHERE m.organization_id = :organization_id ORDER BY m.id FOR UPDATE OF m
    ), settled AS (
        UPDATE messages m
        SET status = r.status, provider_sid = CASE WHEN r.status <> 'pending' THEN r.provider_sid END,
            delivery_status = r.delivery_status, error_code = r.error_code, problem = r.problem,
            settled_at = clock_timestamp(), sid_confirmed = true,
            sending_at = CASE WHEN m.status = 'reserved' AND r.status = 'accepted'
                              THEN clock_timestamp() ELSE m.sending_at END
        FROM reply r JOIN locked USING (id)
        WHERE m.organization_id = :organization_id AND m.id = r.id AND m.attempt = r.attempt
          AND (m.status IN ('sending', 'unknown')
               OR (m.status = 'reserved' AND r.status = 'pending')
               OR (m.status = 'reserved' AND r.status = 'accepted' AND r.provider_sid IS NOT NULL)  -- a failover
               OR (m.status = 'accepted' AND r.after_acceptance AND m.provider_sid IS NOT DISTINCT FROM r.provider_sid)
               OR (m.status = 'accepted' AND (m.provider_sid IS NULL OR NOT m.sid_confirmed)
                   AND r.status IN ('refused', 'pending', 'reserved')))
        RETURNING m.id, m.attempt, m.status, m.error_code, m.problem, m.sending_at, m.recipient, r.opted_out,
                  locked.status_before, coalesce(r.provider_sid, locked.sid_before) AS sid
    ), confirmed AS (  -- a callback came first, or no answer did: which message it is, only Twilio itself says
        UPDATE messages m
        SET provider_sid = r.provider_sid, sid_confirmed = true,
            delivery_status = CASE WHEN m.provider_sid = r.provider_sid
                                   THEN m.delivery_status ELSE r.delivery_status END
        FROM reply r JOIN locked USING (id)
        WHERE m.organization_id = :organization_id AND m.id = r.id AND m.attempt = r.attempt
          AND m.status = 'accepted' AND (m.provider_sid IS NULL OR NOT m.sid_confirmed)
          AND r.status = 'accepted' AND r.provider_sid IS NOT NULL AND NOT r.after_acceptance
    ), kept AS (  -- an attempt that came to nothing, before the next one takes its place
        INSERT INTO attempts
            (organization_id, message_id, attempt, status, provider_sid, error_code, problem, sending_at)
        SELECT :organization_id, id, attempt, 'given_back', sid, error_code, problem, sending_at
        FROM settled WHERE status = 'pending' AND status_before <> 'reserved'
    ), remembered AS (
        INSERT INTO opt_outs (organization_id, recipient)
        SELECT DISTINCT :organization_id, recipient FROM settled WHERE opted_out ON CONFLICT DO NOTHING
        RETURNING recipient
    ), told AS (
        {_OPTED_OUT}
    )
    SELECT id FROM settled
    """  # noqa: S608 - of constants
)
_TAKE_SIDS = text(
    """
    UPDATE messages
    SET status = 'unknown', provider_sid = NULL, delivery_status = NULL, error_code = NULL,
        problem = 'a callback named another message of Twilio''s'
    WHERE organization_id = :organization_id AND provider_sid = ANY(CAST(:sids AS text[])) AND NOT sid_confirmed
      AND (id, provider_sid) NOT IN (SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:sids AS text[])))
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The outcome of one attempt. ACCEPTED; REFUSED or LOST, refunded; UNKNOWN; RESERVED: not
    accepted, still paid, to be sent again; PENDING: not accepted, refunded, to be paid again.

    `after_acceptance`: Twilio accepted it and returned it unsent.
    """

    message: Message
    status: MessageStatus
    provider_sid: str | None = None
    delivery_status: str | None = None
    error_code: int | None = None
    problem: str | None = None
    after_acceptance: bool = False


def never_left(
    message: Message,
    sid: str,
    status: DeliveryStatus,
    error_code: int | None,
    *,
    after_acceptance: bool,
) -> Reply:
    """The result of a message that Twilio accepted and failed: refunded, and pending again if its
    campaign waits for the account.
    """
    remedy = delivery_failure.remedy(error_code)
    again = message.campaign_id is not None and remedy.again
    return Reply(
        message=message,
        status=MessageStatus.PENDING if again else MessageStatus.REFUSED,
        provider_sid=sid,
        delivery_status=None if again else status.value,
        error_code=error_code,
        problem="the account was suspended before it was sent"
        if remedy.again
        else f"failed at Twilio: {error_code}",
        after_acceptance=after_acceptance,
    )


def refund_reference(message_id: UUID, attempt: int) -> str:
    return f"refund:message:{message_id}:{attempt}"


async def settle(conn: AsyncConnection, organization_id: str, replies: Sequence[Reply]) -> int:
    """Record the outcomes of attempts with their refunds; returns how many were still open.

    An attempt that a callback or a look-up has decided is left unchanged. Locks the wallet first if
    money moves, then the messages; the caller commits.
    """
    wallet = await wallets.lock(conn, organization_id) if returns_money(replies) else None
    return await settle_locked(conn, organization_id, wallet, replies)


def returns_money(replies: Sequence[Reply]) -> bool:
    return any(reply.status in RETURNED for reply in replies)


async def settle_locked(
    conn: AsyncConnection, organization_id: str, wallet: Wallet | None, replies: Sequence[Reply]
) -> int:
    """The same for a caller that has locked the wallet, which is required if money moves.

    Twilio's text names the recipient, who is stored in a separate column and nowhere else.
    """
    if not replies:
        return 0
    replies = [
        replace(reply, problem=reply.problem and redact_text(reply.problem)) for reply in replies
    ]
    await _take_sids(conn, organization_id, replies)
    open_still = await _write(conn, organization_id, replies)
    refunds = [
        refund(
            refund_reference(reply.message.id, reply.message.attempt),
            reply.message.debit_reference,
            reply.message.price,
            reply.problem or reply.status.value,
        )
        for reply in replies
        if reply.status in RETURNED and reply.message.id in open_still
    ]
    if wallet is not None and refunds:
        await wallets.post_locked(conn, wallet, refunds)
        ended = [
            reply.message.id
            for reply in replies
            if reply.status in RETURNED - {MessageStatus.PENDING} and reply.message.id in open_still
        ]
        await message_events.tell_refunded(conn, organization_id, ended)
    return len(open_still)


async def _take_sids(conn: AsyncConnection, organization_id: str, replies: Sequence[Reply]) -> None:
    """Take over the ids that Twilio itself reported: a message that a callback gave the same id is
    looked up again.
    """
    named = [reply for reply in replies if reply.provider_sid is not None]
    if named:
        params = {
            "organization_id": organization_id,
            "ids": [reply.message.id for reply in named],
            "sids": [reply.provider_sid for reply in named],
        }
        await conn.execute(_TAKE_SIDS, params)


async def _write(
    conn: AsyncConnection, organization_id: str, replies: Sequence[Reply]
) -> frozenset[UUID]:
    params = {
        "organization_id": organization_id,
        "ids": [reply.message.id for reply in replies],
        "attempts": [reply.message.attempt for reply in replies],
        "statuses": [reply.status.value for reply in replies],
        "sids": [reply.provider_sid for reply in replies],
        "delivery": [reply.delivery_status for reply in replies],
        "codes": [reply.error_code for reply in replies],
        "problems": [reply.problem for reply in replies],
        "after_acceptance": [reply.after_acceptance for reply in replies],
        "opted_out": [
            reply.status in RETURNED and delivery_failure.remedy(reply.error_code).opt_out
            for reply in replies
        ],
    }
    return frozenset((await conn.execute(_SETTLE, params)).scalars())
