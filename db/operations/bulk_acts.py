"""Acts over many organizations: the preview names each organization, the confirmation names the
preview, and each organization is done once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle import organization_lists
from db.lifecycle.organization_lists import Filters
from db.operations import operator_acts
from db.operations.operator_acts import OperatorAct
from db.tables.operations import bulk_act_targets, bulk_acts
from domain.money import Money
from domain.operations.bulk_act import (
    MOST_ORGANIZATIONS,
    SAMPLE,
    VALID_FOR,
    BulkAct,
    BulkKind,
    BulkStatus,
    TargetStatus,
    digest,
)

RING_AGAIN = timedelta(minutes=1)
_WITH_WALLET = text(
    "SELECT organization_id FROM wallets WHERE currency = :currency AND organization_id = ANY(:ids)"
)
_TARGETS = text(
    "INSERT INTO bulk_act_targets (bulk_act_id, organization_id)"
    " SELECT :id, unnest(CAST(:organization_ids AS text[]))"
)
_NEXT = text("""
    SELECT organization_id FROM bulk_act_targets
    WHERE bulk_act_id = :id AND status = 'pending'
    ORDER BY organization_id LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_COUNTS = text("""
    SELECT status, count(*) AS number FROM bulk_act_targets WHERE bulk_act_id = :id GROUP BY status
""")
_RUNNING = text("""
    UPDATE bulk_acts SET rung_at = :now WHERE id IN (
        SELECT id FROM bulk_acts
        WHERE status = 'running' AND coalesce(rung_at, '-infinity') < :before
        ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)
    RETURNING id
""")


class NotConfirmed(Exception):
    """The digest is not that of the preview, or the preview is too old."""


class TooMany(Exception):
    """The filters find more organizations than one act may concern."""


class TooMuch(Exception):
    """The credits together are more than the setting allows for one act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBulkAct:
    """What to preview; `written` are the filters as the caller wrote them."""

    kind: BulkKind
    filters: Filters
    written: Mapping[str, object]
    reason: str
    amount: Money | None
    most_micros: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    organization_id: str
    status: TargetStatus
    detail: str
    done_at: datetime | None


async def preview(conn: AsyncConnection, wanted: NewBulkAct, *, by: str) -> BulkAct:
    """Store which organizations the act would concern; nothing is done to them. A credit concerns
    those with a wallet in its currency. Raises `TooMany` or `TooMuch`. The caller commits.
    """
    ids = await organization_lists.ids(conn, wanted.filters, limit=MOST_ORGANIZATIONS + 1)
    if len(ids) > MOST_ORGANIZATIONS:
        raise TooMany(f"more than {MOST_ORGANIZATIONS:,} organizations: narrow the filters")
    amount = wanted.amount
    if amount is not None:
        params = {"currency": amount.currency, "ids": ids}
        ids = list((await conn.execute(_WITH_WALLET, params)).scalars())
        if amount.micros * len(ids) > wanted.most_micros:
            most = Money(wanted.most_micros, amount.currency)
            total = Money(amount.micros * len(ids), amount.currency)
            raise TooMuch(f"{total} for {len(ids):,} organizations; one act may credit {most}")
    values = {
        "kind": wanted.kind.value,
        "filters": dict(wanted.written),
        "reason": wanted.reason,
        "amount_micros": amount and amount.micros,
        "currency": amount and amount.currency,
        "digest": digest(wanted.kind, amount, wanted.reason, ids),
        "organizations": len(ids),
        "previewed_by": by,
    }
    stored = (await conn.execute(insert(bulk_acts).values(values).returning(bulk_acts))).one()
    await conn.execute(_TARGETS, {"id": stored.id, "organization_ids": ids})
    return _bulk_act(stored)


async def confirm(
    conn: AsyncConnection, id_: UUID, named: str, *, by: str, now: datetime
) -> BulkAct | None:
    """Let the act run, if `named` is the digest of its preview; one that runs or is done stays as
    it is. None without such an act. Raises `NotConfirmed`. The caller commits, then notifies.
    """
    query = select(bulk_acts).where(bulk_acts.c.id == id_).with_for_update()
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        return None
    before = _bulk_act(row)
    if named != before.digest:
        raise NotConfirmed("this is not the digest of the preview")
    if before.status is not BulkStatus.PREVIEWED:
        return before
    if now - before.previewed_at > VALID_FOR:
        raise NotConfirmed("the preview is over an hour old: make a new one")
    confirmed = {"status": BulkStatus.RUNNING.value, "confirmed_by": by, "confirmed_at": now}
    changed = update(bulk_acts).where(bulk_acts.c.id == id_).values(confirmed).returning(bulk_acts)
    after = _bulk_act((await conn.execute(changed)).one())
    await operator_acts.record(
        conn,
        OperatorAct.BULK_ACT_CONFIRMED,
        by=by,
        organization_id=None,
        subject=f"{after.kind.value} {after.organizations} organizations, bulk act {id_}",
        reason=after.reason,
    )
    return after


async def get(conn: AsyncConnection, id_: UUID) -> BulkAct | None:
    row = (await conn.execute(select(bulk_acts).where(bulk_acts.c.id == id_))).one_or_none()
    return None if row is None else _bulk_act(row)


async def page(conn: AsyncConnection, *, before: UUID | None, limit: int) -> list[BulkAct]:
    """The newest first."""
    query = select(bulk_acts).order_by(bulk_acts.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(bulk_acts.c.id < before)
    return [_bulk_act(row) for row in await conn.execute(query)]


async def targets(
    conn: AsyncConnection,
    id_: UUID,
    *,
    status: TargetStatus | None = None,
    after: str = "",
    limit: int = SAMPLE,
) -> list[Target]:
    """The organizations of an act, in order of their ids."""
    table = bulk_act_targets
    query = select(table).where(table.c.bulk_act_id == id_, table.c.organization_id > after)
    if status is not None:
        query = query.where(table.c.status == status.value)
    return [
        Target(
            organization_id=row.organization_id,
            status=TargetStatus(row.status),
            detail=row.detail,
            done_at=row.done_at,
        )
        for row in await conn.execute(query.order_by(table.c.organization_id).limit(limit))
    ]


async def counts(conn: AsyncConnection, id_: UUID) -> dict[TargetStatus, int]:
    """How many of its organizations are in each status."""
    found = dict.fromkeys(TargetStatus, 0)
    for row in await conn.execute(_COUNTS, {"id": id_}):
        found[TargetStatus(row.status)] = row.number
    return found


async def take(conn: AsyncConnection, id_: UUID) -> str | None:
    """Lock the next organization that is not done, and that no other transaction is doing."""
    found: str | None = (await conn.execute(_NEXT, {"id": id_})).scalar_one_or_none()
    return found


async def settle(
    conn: AsyncConnection, id_: UUID, organization_id: str, status: TargetStatus, detail: str = ""
) -> None:
    """Record what became of one organization, in the transaction that did it."""
    table = bulk_act_targets
    await conn.execute(
        update(table)
        .where(table.c.bulk_act_id == id_, table.c.organization_id == organization_id)
        .values(status=status.value, detail=detail, done_at=text("clock_timestamp()"))
    )


async def finish(conn: AsyncConnection, id_: UUID, *, now: datetime) -> bool:
    """Note that the act is done, unless organizations are left. The caller commits."""
    if (await counts(conn, id_))[TargetStatus.PENDING]:
        return False
    running = bulk_acts.c.status == BulkStatus.RUNNING.value
    done = {"status": BulkStatus.DONE.value, "finished_at": now}
    await conn.execute(update(bulk_acts).where(bulk_acts.c.id == id_, running).values(done))
    return True


async def to_notify(conn: AsyncConnection, *, now: datetime) -> list[UUID]:
    """The running acts whose workflow was not notified for a minute. The caller commits, then
    notifies.
    """
    params = {"now": now, "before": now - RING_AGAIN}
    return list((await conn.execute(_RUNNING, params)).scalars())


def _bulk_act(row: Row[Any]) -> BulkAct:
    return BulkAct(
        id=row.id,
        kind=BulkKind(row.kind),
        filters=row.filters,
        reason=row.reason,
        amount=None if row.amount_micros is None else Money(row.amount_micros, row.currency),
        digest=row.digest,
        organizations=row.organizations,
        status=BulkStatus(row.status),
        previewed_by=row.previewed_by,
        previewed_at=row.previewed_at,
        confirmed_by=row.confirmed_by,
        confirmed_at=row.confirmed_at,
        finished_at=row.finished_at,
    )
