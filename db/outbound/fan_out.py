"""Gives each new event a place in the queues of the endpoints that want it.

One transaction at a time does it, in the order in which events were inserted and could be seen. So
of one organization no later fact is ever placed before an earlier one: its transaction began after
the earlier one had committed.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.events.catalogue import CATALOGUE

_KEY = 0x7765_6268_6F6F_6B73  # "webhooks"
AT_ONCE = 500
OPT_IN = [type_.value for type_, entry in CATALOGUE.items() if entry.opt_in]
"""Only for endpoints that name them."""
WAITS = text("SELECT EXISTS (SELECT FROM events WHERE NOT fanned_out)")
_ALONE = text("SELECT pg_try_advisory_xact_lock(:key)")
_WAIT_FOR_TURN = text("SELECT pg_advisory_xact_lock(:key)")
_WANTED = "(w.types = '{}' AND b.type <> ALL(:opt_in) OR b.type = ANY(w.types))"
_PLACE = text(
    f"""
    WITH batch AS MATERIALIZED (
        SELECT id, sequence, type, coalesce(organization_id, '') AS organization_id FROM events
        WHERE NOT fanned_out ORDER BY sequence LIMIT :limit
    ), endpoints AS MATERIALIZED (
        SELECT id, types, organization_ids FROM webhook_endpoints WHERE status <> 'deleted'
    ), wanted AS MATERIALIZED (
        SELECT w.id AS endpoint_id, b.organization_id, b.id AS event_id, b.sequence
        FROM batch b JOIN endpoints w ON w.organization_ids = '{{}}' AND {_WANTED}
        UNION ALL
        SELECT w.id, b.organization_id, b.id, b.sequence
        FROM batch b JOIN (
            SELECT id, types, unnest(organization_ids) AS organization_id FROM endpoints
        ) w ON w.organization_id = b.organization_id AND {_WANTED}
    ), placed AS (
        INSERT INTO webhook_deliveries (endpoint_id, organization_id, event_id)
        SELECT endpoint_id, organization_id, event_id FROM wanted ORDER BY sequence, endpoint_id
        RETURNING endpoint_id
    ), queued AS (
        INSERT INTO webhook_queues AS q (endpoint_id, organization_id, due_at)
        SELECT endpoint_id, organization_id, clock_timestamp() FROM wanted
        GROUP BY endpoint_id, organization_id ORDER BY 1, 2
        ON CONFLICT (endpoint_id, organization_id)
        DO UPDATE SET due_at = coalesce(q.due_at, excluded.due_at)
    ), told AS (
        UPDATE events SET fanned_out = true FROM batch WHERE events.id = batch.id RETURNING 1
    )
    SELECT (SELECT count(*) FROM told) AS events, array(SELECT DISTINCT endpoint_id FROM placed) AS endpoints
    """  # noqa: S608 - its parts are constants
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """How many events, and for which endpoints there is something."""

    events: int = 0
    endpoint_ids: tuple[str, ...] = ()

    @property
    def more(self) -> bool:
        return self.events == AT_ONCE


async def place(conn: AsyncConnection) -> Placed:
    """Place the events that wait, if no other process does it at this moment. The caller commits at
    once.
    """
    if not (await conn.execute(_ALONE, {"key": _KEY})).scalar_one():
        return Placed()
    row = (await conn.execute(_PLACE, {"limit": AT_ONCE, "opt_in": OPT_IN})).one()
    return Placed(events=row.events, endpoint_ids=tuple(row.endpoints))


async def take_turn(conn: AsyncConnection) -> None:
    """Place nothing meanwhile: for whoever places older events again, until the caller commits."""
    await conn.execute(_WAIT_FOR_TURN, {"key": _KEY})
