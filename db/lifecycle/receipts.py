"""Receipts: one for each suspension or reactivation, with its steps, their times, and what
leaked.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Insert,
    Row,
    Text,
    Update,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import log
from db.tables.lifecycle import receipts
from domain.events.catalogue import EventType
from domain.lifecycle.standing import Status

_BEGIN = insert(receipts)
_LEAKED_DEBITS = text(
    """
    (SELECT count(*) FROM ledger_entries e
     WHERE e.organization_id = receipts.organization_id AND e.kind = 'debit'
       AND e.seq > (SELECT max(g.after_seq) FROM gate_changes g
                    WHERE g.organization_id = receipts.organization_id AND g.change = 'shut'))
    """
)
_LEAKED_MESSAGES = text(
    """
    (SELECT count(*)
     FROM (SELECT max(g.at) AS at FROM gate_changes g
           WHERE g.organization_id = receipts.organization_id AND g.change = 'shut') shut
     CROSS JOIN LATERAL (
         SELECT id, sending_at FROM messages m
         WHERE m.organization_id = receipts.organization_id AND m.sending_at > shut.at
         UNION SELECT message_id, sending_at FROM attempts a
         WHERE a.organization_id = receipts.organization_id AND a.sending_at > shut.at
     ) sent)
    """
)
_ONE = update(receipts).where(
    receipts.c.organization_id == bindparam("of", type_=Text),
    receipts.c.epoch == bindparam("at", type_=BigInteger),
)
_APPLIED = ("epoch", "status", "decided_at", "finished_at", "leaked_debits", "leaked_messages")
_STEP = func.jsonb_build_object("step", bindparam("step", type_=Text))
_LINE = func.jsonb_build_object(
    "started_at", bindparam("started_at", type_=Text),
    "finished_at", func.clock_timestamp(),
    "detail", bindparam("detail", type_=Text),
)  # fmt: skip
_NOTE_STEP = _ONE.where(~receipts.c.steps.contains(func.jsonb_build_array(_STEP))).values(
    steps=receipts.c.steps.concat(func.jsonb_build_array(_STEP.concat(_LINE)))
)
_FINISH = _ONE.where(receipts.c.finished_at.is_(None)).values(finished_at=bindparam("now"))
_FINISH_SUSPENSION = _FINISH.values(leaked_debits=_LEAKED_DEBITS, leaked_messages=_LEAKED_MESSAGES)


def _telling(finish: Update) -> Insert:
    """Finish the receipt and tell it, in one statement: what was finished before tells nothing."""
    finished = finish.returning(*receipts.c).cte("finished")
    applied = {name: finished.c[name] for name in _APPLIED}
    reactivated = log.telling(
        EventType.ORGANIZATION_REACTIVATED,
        finished,
        finished.c.organization_id,
        {"epoch": finished.c.epoch},
    ).where(finished.c.status == Status.ACTIVE.value)
    return log.appending(
        reactivated,
        log.telling(EventType.STANDING_APPLIED, finished, finished.c.organization_id, applied),
    )


_CLOSE = {Status.ACTIVE: _telling(_FINISH), Status.SUSPENDED: _telling(_FINISH_SUSPENSION)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """`steps` are `{"step", "started_at", "finished_at", "detail"}`, in order of execution.

    `leaked_debits` and `leaked_messages` count what passed the shut gate; None until a suspension
    has finished.
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
    conn: AsyncConnection,
    organization_id: str,
    epoch: int,
    status: Status,
    *,
    cause: str,
    decided_at: datetime,
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
    conn: AsyncConnection,
    organization_id: str,
    epoch: int,
    step: str,
    *,
    started_at: datetime,
    detail: str,
) -> None:
    """Append a finished step, once: a step repeated after a crash keeps its first line."""
    noted = {
        "of": organization_id,
        "at": epoch,
        "step": step,
        "started_at": started_at.isoformat(),
        "detail": detail,
    }
    await conn.execute(_NOTE_STEP, noted)


async def finish(
    conn: AsyncConnection, organization_id: str, epoch: int, status: Status, *, now: datetime
) -> None:
    """Close the receipt; a suspension's receipt counts what passed the gate after it shut.

    The caller holds the standing, which is at this epoch: the gate has shut for no later one.
    """
    await conn.execute(_CLOSE[status], {"of": organization_id, "at": epoch, "now": now})


async def of_organization(
    conn: AsyncConnection, organization_id: str, *, limit: int, before: int | None = None
) -> list[Receipt]:
    """The newest first; only epochs below `before` if given."""
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
