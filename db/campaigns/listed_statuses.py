"""Reads Twilio's lists for what no callback reported: final statuses, and messages sent after a
refund.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import message_events, status_checks
from db.campaigns.status_checks import Check
from domain.campaigns import delivery_failure
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import (
    WENT_OUT,
    DeliveryStatus,
    SentMessage,
    exclude_each_other,
    rank,
)

_KNOWN = text(
    """
    SELECT m.provider_sid AS sid, m.id, m.attempt, m.status, m.delivery_status, u.message_sid IS NOT NULL AS noted
    FROM messages m LEFT JOIN unpaid_sends u
        ON u.organization_id = m.organization_id AND u.message_id = m.id AND u.attempt = m.attempt
    WHERE m.organization_id = :organization_id AND m.provider_sid = ANY(CAST(:sids AS text[])) AND m.sid_confirmed
    UNION ALL
    SELECT a.provider_sid, a.message_id, a.attempt, 'refused', NULL, u.message_sid IS NOT NULL
    FROM attempts a LEFT JOIN unpaid_sends u
        ON u.organization_id = a.organization_id AND u.message_id = a.message_id AND u.attempt = a.attempt
    WHERE a.organization_id = :organization_id AND a.provider_sid = ANY(CAST(:sids AS text[]))
    """
)
_WRITE = text(
    """
    WITH free AS MATERIALIZED (
        SELECT m.id, t.status, t.code, m.delivery_status AS before
        FROM messages m JOIN unnest(CAST(:sids AS text[]), CAST(:statuses AS text[]), CAST(:codes AS integer[]))
            AS t (sid, status, code) ON m.organization_id = :organization_id AND m.provider_sid = t.sid
        WHERE m.status = 'accepted' AND m.sid_confirmed
        ORDER BY m.id FOR UPDATE OF m SKIP LOCKED
    )
    UPDATE messages m SET delivery_status = free.status, error_code = free.code
    FROM free WHERE m.organization_id = :organization_id AND m.id = free.id
    RETURNING m.id, free.status, free.before
    """
)


async def compare(
    conn: AsyncConnection, organization_id: str, listed: Sequence[SentMessage]
) -> int:
    """Record final statuses that we do not know yet; returns how many differed.

    What moves money, or should not have been sent, is read individually first. Waits for no lock;
    the caller commits.
    """
    by_sid = {message.sid: message for message in listed if message.status is not None}
    rows = await conn.execute(_KNOWN, {"organization_id": organization_id, "sids": list(by_sid)})
    ends: list[SentMessage] = []
    checks: list[Check] = []
    for row in rows:
        sent = by_sid[row.sid]
        assert sent.status is not None
        failed = delivery_failure.refunded(sent.status, sent.error_code)
        kept = row.status == MessageStatus.ACCEPTED.value
        status = None if row.delivery_status is None else DeliveryStatus(row.delivery_status)
        news = (
            status is None
            or rank(sent.status) > rank(status)
            or exclude_each_other(status, sent.status)
        )
        if kept and not failed and news:
            ends.append(sent)
        elif (kept and failed) or (
            not kept and not failed and sent.status in WENT_OUT and not row.noted
        ):
            check = Check(
                organization_id=organization_id,
                message_id=row.id,
                attempt=row.attempt,
                message_sid=row.sid,
            )
            checks.append(check)
    if ends:
        params = {
            "organization_id": organization_id,
            "sids": [message.sid for message in ends],
            "statuses": [message.status for message in ends],
            "codes": [message.error_code for message in ends],
        }
        written = (await conn.execute(_WRITE, params)).all()
        before = {
            (organization_id, row.id): None if row.before is None else DeliveryStatus(row.before)
            for row in written
        }
        now = {(organization_id, row.id): DeliveryStatus(row.status) for row in written}
        await message_events.tell(conn, before, now)
    await status_checks.add(conn, checks)
    return len(ends) + len(checks)
