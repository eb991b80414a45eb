"""Tells how messages ended, each once, while an endpoint asks for it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import opted_in
from domain.campaigns.telephony import ARRIVED, TERMINAL, DeliveryStatus
from domain.events.catalogue import EventType

_DELIVERED = opted_in.batch(EventType.MESSAGE_DELIVERED)
_FAILED = opted_in.batch(EventType.MESSAGE_FAILED)
_REFUNDED = opted_in.batch(EventType.MESSAGE_REFUNDED)


Statuses = Mapping[tuple[str, UUID], DeliveryStatus | None]
"""By organization and message."""


async def tell(conn: AsyncConnection, before: Statuses, now: Statuses) -> None:
    """Tell of those messages whose status is another one `now`. The caller wrote it, under the
    messages' locks, and commits.
    """
    ended = [(key, status) for key, status in now.items() if status in TERMINAL]
    arrived = [key for key, status in ended if status in ARRIVED and before.get(key) not in ARRIVED]
    failed = [
        key for key, status in ended if status not in ARRIVED and before.get(key) is not status
    ]
    await opted_in.append(conn, _DELIVERED, arrived)
    await opted_in.append(conn, _FAILED, failed)


async def tell_refunded(
    conn: AsyncConnection, organization_id: str, message_ids: Sequence[UUID]
) -> None:
    """The caller returned their prices in this transaction, and commits."""
    await opted_in.append(conn, _REFUNDED, [(organization_id, id_) for id_ in message_ids])
