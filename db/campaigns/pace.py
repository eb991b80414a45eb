"""Pace: schedules messages so that all workers together keep the rate per second."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

WHOLE_ACCOUNT = ""
"""The key of the main account at Twilio; see `of_account`."""
# In order of the key, so that two processes that take turns of the same keys never deadlock; the
# accounts' keys, which most want, are locked last.
_TAKE = text(
    """
    INSERT INTO pace (organization_id, next_at)
    SELECT wanted.key, statement_timestamp() + make_interval(secs => wanted.seconds)
    FROM unnest(CAST(:keys AS text[]), CAST(:seconds AS float8[])) AS wanted (key, seconds)
    ORDER BY wanted.key DESC
    ON CONFLICT (organization_id) DO UPDATE
    SET next_at = greatest(pace.next_at, clock_timestamp())
                + (excluded.next_at - statement_timestamp())
    RETURNING organization_id,
              extract(epoch FROM next_at - clock_timestamp())::float8 AS ends_in
    """
)


def of_account(account_sid: str, *, main: bool) -> str:
    """The key of a parent account at Twilio: no organization's id, which contains no slash."""
    return WHOLE_ACCOUNT if main else f"/{account_sid}"


async def take(conn: AsyncConnection, of: str, many: int, *, per_second: int) -> float:
    """Reserve a turn for `many` messages after all earlier turns; returns the seconds until it
    begins.

    `of` is an organization's id, or WHOLE_ACCOUNT. Turns follow the order in which they are taken,
    so that the windows of several organizations alternate. A turn cannot be returned. The caller
    commits.
    """
    return (await take_together(conn, {of: many / per_second}))[of]


async def take_together(conn: AsyncConnection, lengths: Mapping[str, float]) -> dict[str, float]:
    """Reserve a turn of so many seconds for each key; returns the seconds until each begins.

    The caller commits, at once: whoever else takes a turn of these keys waits for it.
    """
    taken = await conn.execute(_TAKE, {"keys": list(lengths), "seconds": list(lengths.values())})
    return {
        row.organization_id: max(0.0, row.ends_in - lengths[row.organization_id]) for row in taken
    }
