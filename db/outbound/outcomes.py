"""What came of an attempt: its delivery is settled or waits, and its endpoint is well or not.

Locks the queue first, then its endpoint.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbound import endpoints
from db.outbound.queues import Attempt, Leased
from domain.outbound.deliveries import UNWELL, EventDeliveryStatus, Health, Next

_LOCK = text(
    """
    SELECT lease FROM webhook_queues
    WHERE endpoint_id = :endpoint_id AND organization_id = :organization_id FOR UPDATE
    """
)
_SETTLE = text(
    """
    UPDATE webhook_deliveries SET status = :outcome, settled_at = :now
    WHERE position = :position AND status = 'pending'
    """
)
_ATTEMPT = text(
    """
    INSERT INTO webhook_attempts (endpoint_id, position, event_id, at, status, latency_ms, answer, reason)
    VALUES (:endpoint_id, :position, :event_id, :at, :status, :latency_ms, :answer, :reason)
    """
)
_COUNT = text(
    f"""
    WITH queue AS MATERIALIZED (
        SELECT FROM webhook_queues
        WHERE endpoint_id = :endpoint_id AND organization_id = :organization_id FOR UPDATE
    ), delivery AS (
        UPDATE webhook_deliveries SET attempts = attempts + 1, status = :outcome,
            settled_at = CASE WHEN :outcome <> 'pending' THEN cast(:now AS timestamptz) END
        WHERE position = :position AND status = 'pending' AND EXISTS (SELECT FROM queue)
    )
    {_ATTEMPT.text}
    """  # noqa: S608 - its parts are constants
)
_RELEASE = text(
    """
    UPDATE webhook_queues q SET lease = NULL, leased_until = NULL, due_at = (
        SELECT cast(:due_at AS timestamptz) FROM webhook_deliveries d
        WHERE d.endpoint_id = q.endpoint_id AND d.organization_id = q.organization_id AND status = 'pending'
        LIMIT 1
    )
    WHERE endpoint_id = :endpoint_id AND organization_id = :organization_id AND lease = :lease
    RETURNING due_at
    """
)
_WELL = text(
    """
    UPDATE webhook_endpoints e SET failures = 0, first_failed_at = NULL, failed_queues = 0, retry_at = NULL
    FROM (SELECT id, failed_queues FROM webhook_endpoints WHERE id = :endpoint_id AND failures > 0 FOR UPDATE) before
    WHERE e.id = before.id RETURNING before.failed_queues
    """
)
_DUE_NOW = text(
    """
    WITH waiting AS MATERIALIZED (
        SELECT endpoint_id, organization_id FROM webhook_queues
        WHERE endpoint_id = :endpoint_id AND due_at > :now FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_queues q SET due_at = :now FROM waiting
    WHERE q.endpoint_id = waiting.endpoint_id AND q.organization_id = waiting.organization_id
    """
)
_HEALTH = text(
    """
    SELECT failures, first_failed_at, failed_queues FROM webhook_endpoints
    WHERE id = :endpoint_id FOR UPDATE
    """
)
_UNWELL = text(
    """
    UPDATE webhook_endpoints SET failures = :failures, first_failed_at = :first_failed_at,
        failed_queues = :failed_queues, retry_at = greatest(retry_at, :retry_at)
    WHERE id = :endpoint_id
    """
)


async def note_attempt(conn: AsyncConnection, attempt: Attempt) -> None:
    """The caller commits."""
    await conn.execute(_ATTEMPT, _values(attempt))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Whether the endpoint was unwell until now, and whether the released queue is due."""

    was_unwell: bool
    more: bool


async def note_delivered(
    conn: AsyncConnection, queue: Leased, attempt: Attempt, *, release: bool, now: datetime
) -> Delivered:
    """Settle the delivery; `release` ends the lease. The caller commits."""
    await _count(conn, queue, attempt, EventDeliveryStatus.DELIVERED, now=now)
    more = release and await _release(conn, queue, due_at=now)
    if not queue.failures:
        return Delivered(was_unwell=False, more=more)
    before = await conn.execute(_WELL, {"endpoint_id": queue.endpoint_id})
    return Delivered(was_unwell=(before.scalar_one_or_none() or 0) >= UNWELL, more=more)


async def note_skipped(conn: AsyncConnection, position: int, *, now: datetime) -> None:
    """Settle a delivery whose event was deleted. The caller commits."""
    params = {"position": position, "outcome": EventDeliveryStatus.SKIPPED.value, "now": now}
    await conn.execute(_SETTLE, params)


async def health(conn: AsyncConnection, queue: Leased) -> Health:
    """Lock the queue, and then its endpoint, whose health it returns."""
    await _lock(conn, queue)
    row = (await conn.execute(_HEALTH, {"endpoint_id": queue.endpoint_id})).one()
    return Health(
        failures=row.failures,
        first_failed_at=row.first_failed_at,
        failed_queues=row.failed_queues,
    )


async def note_failed(
    conn: AsyncConnection, queue: Leased, attempt: Attempt, following: Next, *, now: datetime
) -> None:
    """Count the attempt, and end the lease: the queue is due again when the event is, or at once if
    it is given up. After `health`, in one transaction; the caller commits.
    """
    outcome = (
        EventDeliveryStatus.FAILED if following.due_at is None else EventDeliveryStatus.PENDING
    )
    await _count(conn, queue, attempt, outcome, now=now)
    await _release(conn, queue, due_at=following.due_at or now)
    values = {
        "endpoint_id": queue.endpoint_id,
        "failures": following.health.failures,
        "first_failed_at": following.health.first_failed_at,
        "failed_queues": following.health.failed_queues,
        "retry_at": following.retry_at,
    }
    await conn.execute(_UNWELL, values)
    if following.disabled is not None:
        await endpoints.disable(conn, queue.endpoint_id, following.disabled, now=now)


async def release(conn: AsyncConnection, queue: Leased, *, now: datetime) -> bool:
    """End the lease; what is left is due at once. Returns whether something is. The caller
    commits.
    """
    await _lock(conn, queue)
    return await _release(conn, queue, due_at=now)


async def make_due(conn: AsyncConnection, endpoint_id: str, *, now: datetime) -> None:
    """All that waits for its next attempt is due now: the endpoint is well again. The caller
    commits.
    """
    await conn.execute(_DUE_NOW, {"endpoint_id": endpoint_id, "now": now})


async def _count(
    conn: AsyncConnection,
    queue: Leased,
    attempt: Attempt,
    outcome: EventDeliveryStatus,
    *,
    now: datetime,
) -> None:
    """Lock the queue, count the attempt and keep it."""
    about = {"organization_id": queue.organization_id, "outcome": outcome.value, "now": now}
    await conn.execute(_COUNT, _values(attempt) | about)


async def _lock(conn: AsyncConnection, queue: Leased) -> None:
    params = {"endpoint_id": queue.endpoint_id, "organization_id": queue.organization_id}
    await conn.execute(_LOCK, params)


async def _release(conn: AsyncConnection, queue: Leased, *, due_at: datetime) -> bool:
    """Returns whether something is left.

    It is a statement after the lock: so it sees what was queued before it, and what is queued later
    makes the queue due itself.
    """
    params = {
        "endpoint_id": queue.endpoint_id,
        "organization_id": queue.organization_id,
        "lease": queue.lease,
        "due_at": due_at,
    }
    return (await conn.execute(_RELEASE, params)).scalar_one_or_none() is not None


def _values(attempt: Attempt) -> dict[str, Any]:
    return {
        "endpoint_id": attempt.endpoint_id,
        "position": attempt.position,
        "event_id": attempt.event_id,
        "at": attempt.at,
        "status": attempt.status,
        "latency_ms": attempt.latency_ms,
        "answer": attempt.answer,
        "reason": attempt.reason,
    }
