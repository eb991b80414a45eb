"""The fence: while it is shut, no debit is booked and nothing is sent, for any organization.

The statements that debit and send read it together with the wallet; see `db/wallet`.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.recovery import fences

TOLLGATE = "tollgate"
_OLDER = text("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= CAST(CAST(:id AS text) AS xid8)")
_NEXT = text("SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    reason: str
    shut_by: str
    shut_at: datetime


async def current(conn: AsyncConnection) -> Fence | None:
    """The fence that is shut now."""
    query = select(fences.c.reason, fences.c.shut_by, fences.c.shut_at)
    row = (await conn.execute(query.where(fences.c.opened_at.is_(None)))).one_or_none()
    return (
        None if row is None else Fence(reason=row.reason, shut_by=row.shut_by, shut_at=row.shut_at)
    )


async def shut(conn: AsyncConnection, reason: str, *, by: str) -> bool:
    """Shut the fence; returns whether it was open. The caller commits."""
    stored = await conn.execute(
        upsert(fences)
        .values(reason=reason, shut_by=by)
        .on_conflict_do_nothing()
        .returning(fences.c.id)
    )
    return stored.one_or_none() is not None


async def open_(conn: AsyncConnection, *, by: str, because: str) -> bool:
    """Open the fence; returns whether it was shut. The caller commits."""
    opened = await conn.execute(
        update(fences)
        .where(fences.c.opened_at.is_(None))
        .values(opened_by=by, opened_because=because, opened_at=func.clock_timestamp())
    )
    return opened.rowcount > 0


async def next_transaction(conn: AsyncConnection) -> str:
    """The id that the next transaction will get."""
    id_: str = (await conn.execute(_NEXT)).scalar_one()
    return id_


async def are_over(conn: AsyncConnection, before: str) -> bool:
    """Whether every transaction with an id below `before` has ended: they may have read the fence
    while it was open.
    """
    return bool((await conn.execute(_OLDER, {"id": before})).scalar_one())
