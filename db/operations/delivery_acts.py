"""What an operator does with a parked delivery: try it again now, or dismiss it; recorded."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.inbox import parking
from db.inbox.deliveries import COLUMNS, UNKNOWN, assign
from db.inbox.parking import PARKED
from db.operations import operator_acts
from db.operations.operator_acts import OperatorAct
from db.tables.inbox import inbox

NOT_UNDERSTOOD = "not understood"


class NotRetried(Exception):
    """Trying this delivery again would change nothing, or lose what nobody understood."""


async def retry(
    conn: AsyncConnection, delivery_id: int, *, by: str, reason: str, now: datetime
) -> tuple[bool, str | None]:
    """Try a parked delivery again now: its organization's lifecycle handles it, or its owner is
    looked for. Returns whether it is parked, and the organization to notify, if it is known.

    Raises `NotRetried`. The caller commits.
    """
    query = select(*COLUMNS).where(inbox.c.id == delivery_id, PARKED).with_for_update()
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return False, None
    if row.outcome.startswith(NOT_UNDERSTOOD):
        raise NotRetried("it was not understood; resolve it, then dismiss it")
    if row.organization_id is not None:
        await assign(conn, delivery_id, row.organization_id, now=now)
    elif row.outcome.startswith(UNKNOWN):
        due = update(inbox).where(inbox.c.id == delivery_id)
        await conn.execute(due.values(next_attempt_at=now, attempts=0))
    else:
        raise NotRetried("no organization is known, and nothing that a provider could be asked for")
    await _record(conn, OperatorAct.DELIVERY_RETRIED, row, by=by, reason=reason)
    return True, row.organization_id


async def dismiss(conn: AsyncConnection, delivery_id: int, *, by: str, reason: str) -> bool:
    """Dismiss a parked delivery; False if it is not parked. The caller commits."""
    query = select(*COLUMNS).where(inbox.c.id == delivery_id)
    row = (await conn.execute(query)).one_or_none()
    if row is None or not await parking.dismiss(conn, delivery_id, reason):
        return False
    await _record(conn, OperatorAct.DELIVERY_DISMISSED, row, by=by, reason=reason)
    return True


async def _record(
    conn: AsyncConnection, act: OperatorAct, row: Row[Any], *, by: str, reason: str
) -> None:
    await operator_acts.record(
        conn,
        act,
        by=by,
        organization_id=row.organization_id,
        subject=f"delivery {row.id}, {row.provider} {row.event_id}",
        reason=reason,
    )
