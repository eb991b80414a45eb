"""Messages that Twilio sent although their debit was refunded: noted once per attempt, and charged
by an operator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.campaigns import messages
from db.campaigns.messages import Message
from db.campaigns.send_results import RETURNED
from db.wallet import wallets
from domain.alerts import AlertKind
from domain.campaigns.telephony import WENT_OUT, DeliveryStatus
from domain.wallet.entries import debit
from domain.wallet.ledger import Debited, Outcome

_NOTE = text(
    """
    INSERT INTO unpaid_sends (organization_id, message_id, attempt, message_sid, delivery_status)
    VALUES (:organization_id, :id, :attempt, :sid, :status)
    ON CONFLICT (organization_id, message_id, attempt) DO UPDATE SET delivery_status = excluded.delivery_status
    RETURNING charged_at IS NULL
    """
)
_SHOW = text(
    """
    UPDATE messages SET status = CASE WHEN status = 'pending' THEN 'lost' ELSE status END,
                        provider_sid = :sid, delivery_status = :status, sid_confirmed = true
    WHERE organization_id = :organization_id AND id = :id AND attempt = :attempt
      AND status = ANY(CAST(:refunded AS text[]))
    """
)
_SHOW_EARLIER = text(
    "UPDATE attempts SET provider_sid = :sid WHERE organization_id = :organization_id AND "
    "message_id = :id"
    " AND attempt = :attempt AND provider_sid IS NULL"
)
_OPEN = text(
    """
    SELECT message_id, attempt, message_sid, delivery_status, found_at FROM unpaid_sends
    WHERE organization_id = :organization_id AND charged_at IS NULL
      AND (CAST(:found_at AS timestamptz) IS NULL
           OR (found_at, message_id, attempt)
              > (CAST(:found_at AS timestamptz), CAST(:id AS uuid), CAST(:attempt AS bigint)))
    ORDER BY found_at, message_id, attempt LIMIT :limit
    """
)
_OF_MESSAGE = text(
    "SELECT attempt FROM unpaid_sends"
    " WHERE organization_id = :organization_id AND message_id = :id ORDER BY attempt FOR UPDATE"
)
_TO_BE_READ = text(
    """
    SELECT EXISTS (
        SELECT FROM status_checks s JOIN messages m ON m.organization_id = s.organization_id AND m.id = s.message_id
        WHERE s.organization_id = :organization_id AND s.told = ANY(CAST(:went_out AS text[]))
          AND m.status IN ('refused', 'lost')
    )
    """
)
_CHARGED = text(
    "UPDATE unpaid_sends SET charged_at = coalesce(charged_at, clock_timestamp())"
    " WHERE organization_id = :organization_id AND message_id = :id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpaidSend:
    message_id: UUID
    attempt: int
    message_sid: str
    delivery_status: str
    found_at: datetime


class NothingUnpaid(Exception):
    """Only a message that Twilio reports as sent after its refund may be charged."""


def charge_reference(message_id: UUID, attempt: int) -> str:
    return f"charge:message:{message_id}:{attempt}"


async def note(
    conn: AsyncConnection, message: Message, attempt: int, sid: str, status: DeliveryStatus
) -> bool:
    """Note the send; returns whether it is still uncharged.

    It is shown on the message, or on the attempt if another one followed. A message that waits to
    be sent again is not: it was sent already. The caller holds the message's row and commits.
    """
    params = {
        "organization_id": message.organization_id,
        "id": message.id,
        "attempt": attempt,
        "sid": sid,
        "status": status.value,
    }
    unpaid: bool = (await conn.execute(_NOTE, params)).scalar_one()
    await conn.execute(_SHOW_EARLIER, params)
    await conn.execute(_SHOW, params | {"refunded": [status.value for status in RETURNED]})
    return unpaid


async def open_ones(
    conn: AsyncConnection,
    organization_id: str,
    *,
    after: tuple[datetime, UUID, int] | None = None,
    limit: int,
) -> list[UnpaidSend]:
    """Those that are not charged yet, the oldest first. `after` is the time, the message and the
    attempt of one of them.
    """
    found_at, message_id, attempt = after or (None, None, None)
    values = {"found_at": found_at, "id": message_id, "attempt": attempt, "limit": limit}
    rows = await conn.execute(_OPEN, {"organization_id": organization_id, **values})
    return [UnpaidSend(**row) for row in rows.mappings()]


async def charge(
    conn: AsyncConnection, organization_id: str, message_id: UUID
) -> tuple[Message | None, Outcome | None]:
    """Debit the message's price again, once for each attempt that was sent after its refund, like
    any other debit.

    Raises `NothingUnpaid`. The first refusal is the outcome, and the caller then rolls back;
    otherwise it is that of the newest debit that is booked now, or a replayed one where every
    attempt was charged before. Locks the wallet; the caller commits.
    """
    wallet = await wallets.lock(conn, organization_id)
    message = await messages.get(conn, organization_id, message_id)
    if wallet is None or message is None:
        return None, None
    params = {"organization_id": organization_id, "id": message_id}
    attempts: Sequence[int] = (await conn.execute(_OF_MESSAGE, params)).scalars().all()
    if not attempts:
        raise NothingUnpaid("Twilio has not reported that it sent this message after its refund")
    postings = [
        debit(
            charge_reference(message_id, attempt), message.price, "sent by Twilio after its refund"
        )
        for attempt in attempts
    ]
    outcomes = await wallets.post_locked(conn, wallet, postings)
    for outcome in outcomes:
        if not isinstance(outcome, Debited):
            return message, outcome
    await conn.execute(_CHARGED, params)
    await clear_alert(conn, organization_id)
    return message, min(reversed(outcomes), key=_replayed)


def _replayed(outcome: Outcome) -> bool:
    return isinstance(outcome, Debited) and outcome.replayed


async def clear_alert(conn: AsyncConnection, organization_id: str) -> None:
    """Clear the alert, unless a send is still uncharged, or a callback that reports one is still to
    be checked.
    """
    if await open_ones(conn, organization_id, limit=1):
        return
    params = {"organization_id": organization_id, "went_out": [status.value for status in WENT_OUT]}
    if not (await conn.execute(_TO_BE_READ, params)).scalar_one():
        await alerts.clear(conn, organization_id, AlertKind.SENT_AFTER_REFUND)
