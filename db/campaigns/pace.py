"""Pace: schedules messages so that all workers together keep the rate per second."""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

WHOLE_ACCOUNT = ""
_TAKE = text(
    """
    INSERT INTO pace (organization_id, next_at)
    VALUES (:of, clock_timestamp() + :many * interval '1 second' / :per_second)
    ON CONFLICT (organization_id) DO UPDATE
    SET next_at = greatest(pace.next_at, clock_timestamp()) + :many * interval '1 second' / :per_second
    RETURNING next_at - :many * interval '1 second' / :per_second AS starts_at, clock_timestamp() AS now
    """
)


async def take(conn: AsyncConnection, of: str, many: int, *, per_second: int) -> float:
    """Reserve a turn for `many` messages after all earlier turns; returns the seconds until it
    begins.

    `of` is an organization's id, or WHOLE_ACCOUNT. Turns follow the order in which they are taken,
    so that the windows of several organizations alternate. A turn cannot be returned. The caller
    commits.
    """
    row = (await conn.execute(_TAKE, {"of": of, "many": many, "per_second": per_second})).one()
    wait: timedelta = row.starts_at - row.now
    return max(0.0, wait.total_seconds())
