"""How many endpoints are well, and how long the oldest event has waited for one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_BY_STATE = text(
    """
    SELECT CASE WHEN status = 'enabled' AND failures > 0 THEN 'failing' ELSE status END AS state,
        count(*) AS number
    FROM webhook_endpoints WHERE status <> 'deleted' GROUP BY 1
    """
)
_OLDEST = text(
    """
    SELECT min(oldest.created_at)
    FROM webhook_endpoints e JOIN webhook_queues q ON q.endpoint_id = e.id
    CROSS JOIN LATERAL (
        SELECT created_at FROM webhook_deliveries d
        WHERE d.endpoint_id = q.endpoint_id AND d.organization_id = q.organization_id AND d.status = 'pending'
        ORDER BY position LIMIT 1
    ) oldest
    WHERE e.status = 'enabled' AND q.due_at IS NOT NULL
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """`endpoints` by state: enabled, failing or disabled. `oldest` is the age of what waits for one
    that is not disabled.
    """

    endpoints: Mapping[str, int]
    oldest: timedelta


async def read(conn: AsyncConnection, *, now: datetime) -> Undelivered:
    """Of the queues in which something waits, the oldest event."""
    states = {"enabled": 0, "failing": 0, "disabled": 0}
    states |= {row.state: row.number for row in await conn.execute(_BY_STATE)}
    since = (await conn.execute(_OLDEST)).scalar_one()
    return Undelivered(endpoints=states, oldest=max(now - (since or now), timedelta()))
