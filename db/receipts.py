"""Receipts: one for each suspension or reactivation, step by step, with times and what leaked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, not_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import receipts
from domain.standing import Status

_BEGIN = insert(receipts)
_LEAKED_DEBITS = text(
    """
    (SELECT count(*) FROM ledger_entries e
     WHERE e.organization_id = receipts.organization_id AND e.kind = 'debit'
       AND e.seq > (SELECT max(g.after_seq) FROM gate_changes g
                    WHERE g.organization_id = receipts.organization_id AND g.change = 'shut'
                      AND g.epoch <= receipts.epoch))
    """
)
_LEAKED_MESSAGES = text(
    """
    (SELECT count(*) FROM messages m
     WHERE m.organization_id = receipts.organization_id
       AND m.sending_at > (SELECT max(g.at) FROM gate_changes g
                           WHERE g.organization_id = receipts.organization_id AND g.change = 'shut'
                             AND g.epoch <= receipts.epoch))
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """`steps` are `{"step", "started_at", "finished_at", "detail"}`, in the order in which they were done.

    `leaked_debits` and `leaked_messages` count what passed the shut gate; None until a suspension has finished.
    """

    organization_id: str
    epoch: int
    status: Status
    cause: str
    decided_at: datetime
    steps: tuple[dict[str, str], ...]
    finished_at: datetime | None
    leaked_debits: int | None
    leaked_messages: int | None


async def begin(
    conn: AsyncConnection, organization_id: str, epoch: int, status: Status, *, cause: str, decided_at: datetime
) -> None:
    begun = {
        "organization_id": organization_id,
        "epoch": epoch,
        "status": status.value,
        "cause": cause,
        "decided_at": decided_at,
    }
    await conn.execute(_BEGIN, begun)


async def note_step(
    conn: AsyncConnection, organization_id: str, epoch: int, step: str, *, started_at: datetime, detail: str
) -> None:
    """Append a finished step, once: a step that is repeated after a crash keeps its first line."""
    line = func.jsonb_build_object(
        "step", step, "started_at", started_at.isoformat(), "finished_at", func.clock_timestamp(), "detail", detail
    )
    await conn.execute(
        update(receipts)
        .where(receipts.c.organization_id == organization_id, receipts.c.epoch == epoch)
        .where(not_(receipts.c.steps.contains([{"step": step}])))
        .values(steps=receipts.c.steps.concat(func.jsonb_build_array(line)))
    )


async def finish(conn: AsyncConnection, organization_id: str, epoch: int, status: Status, *, now: datetime) -> None:
    """Close the receipt; a suspension's counts what passed the gate after it shut. The caller holds the standing."""
    values: dict[str, Any] = {"finished_at": now}
    if status is Status.SUSPENDED:
        values |= {"leaked_debits": _LEAKED_DEBITS, "leaked_messages": _LEAKED_MESSAGES}
    await conn.execute(
        update(receipts)
        .where(receipts.c.organization_id == organization_id, receipts.c.epoch == epoch)
        .where(receipts.c.finished_at.is_(None))
        .values(**values)
    )


async def of_organization(
    conn: AsyncConnection, organization_id: str, *, limit: int, before: int | None = None
) -> list[Receipt]:
    """The newest first, those of epochs below `before` if it is given."""
    query = select(receipts).where(receipts.c.organization_id == organization_id)
    if before is not None:
        query = query.where(receipts.c.epoch < before)
    query = query.order_by(receipts.c.epoch.desc()).limit(limit)
    return [_receipt(row) for row in await conn.execute(query)]


def _receipt(row: Row[Any]) -> Receipt:
    return Receipt(
        organization_id=row.organization_id,
        epoch=row.epoch,
        status=Status(row.status),
        cause=row.cause,
        decided_at=row.decided_at,
        steps=tuple(row.steps),
        finished_at=row.finished_at,
        leaked_debits=row.leaked_debits,
        leaked_messages=row.leaked_messages,
    )
