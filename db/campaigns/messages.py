"""Messages, one per recipient: their state at Twilio, and the queries that find them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.campaigns import campaigns, messages
from db.tables.columns import written_all
from db.tables.lifecycle import organizations
from domain.campaigns.campaign import MessageStatus
from domain.money import Money
from domain.redaction import redact_text

UNSETTLED_AFTER = timedelta(minutes=1)
"""A hand-over that stays open for longer has failed."""
_LOCK = text(
    "SELECT id FROM messages WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS "
    "uuid[]))"
    " ORDER BY id FOR UPDATE"
)
_NAMED = text(
    """
    SELECT provider_sid, id, attempt, recipient, sending_at, sid_confirmed FROM messages
    WHERE organization_id = :organization_id AND provider_sid = ANY(CAST(:sids AS text[]))
    UNION ALL
    SELECT a.provider_sid, a.message_id, a.attempt, m.recipient, a.sending_at, true
    FROM attempts a JOIN messages m ON m.organization_id = a.organization_id AND m.id = a.message_id
    WHERE a.organization_id = :organization_id AND a.provider_sid = ANY(CAST(:sids AS text[]))
    """
)


@dataclass(frozen=True, slots=True)
class Named:
    """A Twilio message that corresponds to one of ours; `confirmed` by Twilio itself, else reported
    by a callback only.
    """

    sid: str
    message_id: UUID
    attempt: int
    recipient: str
    sending_at: datetime | None
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The message to one recipient. `attempt` counts its debits; attempt and id together identify
    one hand-over to Twilio.

    `sid_confirmed` is false if only a callback named `provider_sid`, not Twilio's own answer or
    list. `sender` is the sender of its last attempt; None if that was not recorded. Of a message
    that is to be handed over, `not_after` is when quiet hours begin for it.
    """

    organization_id: str
    id: UUID
    campaign_id: UUID | None
    position: int | None
    recipient: str
    body: str
    segments: int
    price: Money
    status: MessageStatus
    attempt: int
    delivery_status: str | None = None
    provider_sid: str | None = None
    sid_confirmed: bool = True
    error_code: int | None = None
    problem: str | None = None
    country: str | None = None
    provider_price: Money | None = None
    created_at: datetime | None = None
    sending_at: datetime | None = None
    sender: str | None = None
    not_after: datetime | None = None

    @property
    def attempt_id(self) -> str:
        return f"{self.id}.{self.attempt}"

    @property
    def is_taken_on_trust(self) -> bool:
        """Whether Twilio has not confirmed its own id of this message: only a callback names one,
        or nothing does.
        """
        return self.status is MessageStatus.ACCEPTED and (
            self.provider_sid is None or not self.sid_confirmed
        )

    @property
    def debit_reference(self) -> str:
        return debit_reference(self.id, self.attempt)


def debit_reference(message_id: UUID, attempt: int) -> str:
    return f"message:{message_id}:{attempt}"


async def by_key(conn: AsyncConnection, organization_id: str, key: str) -> Message | None:
    rows = await _select(conn, organization_id, messages.c.idempotency_key == key)
    return rows[0] if rows else None


async def get(conn: AsyncConnection, organization_id: str, message_id: UUID) -> Message | None:
    rows = await _select(conn, organization_id, messages.c.id == message_id)
    return rows[0] if rows else None


async def by_provider_sid(conn: AsyncConnection, organization_id: str, sid: str) -> Message | None:
    rows = await _select(conn, organization_id, messages.c.provider_sid == sid)
    return rows[0] if rows else None


async def named_by(
    conn: AsyncConnection, organization_id: str, sids: Collection[str]
) -> list[Named]:
    """The known Twilio messages: those that correspond to one of ours, and those that Twilio
    returned unsent.
    """
    rows = await conn.execute(_NAMED, {"organization_id": organization_id, "sids": list(sids)})
    return [Named(*row) for row in rows]


async def lock(
    conn: AsyncConnection, organization_id: str, message_ids: Collection[UUID]
) -> list[Message]:
    """Lock messages, in the order of their ids; taken after the wallet's row."""
    await conn.execute(_LOCK, {"organization_id": organization_id, "ids": list(message_ids)})
    return await in_window(conn, organization_id, list(message_ids))


async def in_window(
    conn: AsyncConnection, organization_id: str, message_ids: list[UUID]
) -> list[Message]:
    """The messages with these ids, by position."""
    return await _select(conn, organization_id, messages.c.id.in_(message_ids))


async def of_several(conn: AsyncConnection, ids: Collection[tuple[str, UUID]]) -> list[Message]:
    """Messages of several organizations, in any order."""
    if not ids:
        return []
    place = tuple_(messages.c.organization_id, messages.c.id)
    return await _read(conn, place.in_(list(ids)))


async def in_status(
    conn: AsyncConnection,
    organization_id: str,
    status: MessageStatus,
    *,
    campaign_id: UUID | None = None,
    sending_before: datetime | None = None,
) -> list[Message]:
    """Unconfirmed messages by position, then by id; of one campaign or of all, optionally handed
    over before a time.
    """
    conditions: list[Any] = [messages.c.status == status.value]
    if campaign_id is not None:
        conditions.append(messages.c.campaign_id == campaign_id)
    if sending_before is not None:
        conditions.append(messages.c.sending_at < sending_before)
    return await _select(conn, organization_id, *conditions)


async def unsettled_organizations(
    conn: AsyncConnection, *, before: datetime, after: str, limit: int
) -> list[str]:
    """Organizations with messages whose hand-over began before `before` and is still open, by id,
    after `after`.
    """
    query = (
        select(messages.c.organization_id)
        .where(*_unsettled(before), messages.c.organization_id > after)
        .distinct()
        .order_by(messages.c.organization_id)
        .limit(limit)
    )
    return [row.organization_id for row in await conn.execute(query)]


async def number_unsettled(conn: AsyncConnection, *, before: datetime) -> int:
    """The number of such messages."""
    number: int = (await conn.execute(select(func.count()).where(*_unsettled(before)))).scalar_one()
    return number


def _unsettled(before: datetime) -> tuple[Any, Any]:
    open_ = messages.c.status.in_(
        written_all([MessageStatus.SENDING.value, MessageStatus.UNKNOWN.value])
    )
    return open_, messages.c.sending_at < before


async def _select(conn: AsyncConnection, organization_id: str, *conditions: Any) -> list[Message]:
    return await _read(conn, messages.c.organization_id == organization_id, *conditions)


async def _read(conn: AsyncConnection, *conditions: Any) -> list[Message]:
    query = (
        select(messages, campaigns.c.body.label("campaign_body"), organizations.c.currency)
        .join(organizations, organizations.c.id == messages.c.organization_id)
        .outerjoin(
            campaigns,
            (campaigns.c.organization_id == messages.c.organization_id)
            & (campaigns.c.id == messages.c.campaign_id),
        )
        .where(*conditions)
        .order_by(messages.c.position, messages.c.id)
    )
    return [_message(row) for row in await conn.execute(query)]


def _message(row: Row[Any]) -> Message:
    return Message(
        organization_id=row.organization_id,
        id=row.id,
        campaign_id=row.campaign_id,
        position=row.position,
        recipient=row.recipient,
        body=row.body if row.campaign_id is None else row.campaign_body,
        segments=row.segments,
        price=Money(row.price_micros, row.currency),
        status=MessageStatus(row.status),
        attempt=row.attempt,
        delivery_status=row.delivery_status,
        provider_sid=row.provider_sid,
        sid_confirmed=row.sid_confirmed,
        error_code=row.error_code,
        problem=row.problem
        and redact_text(row.problem),  # earlier releases stored Twilio's own text
        country=row.country,
        provider_price=None
        if row.provider_price_micros is None
        else Money(row.provider_price_micros, row.provider_price_currency),
        created_at=row.created_at,
        sending_at=row.sending_at,
        sender=row.sender,
    )
