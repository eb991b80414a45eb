"""The log of events: each is written in the transaction of the fact that it tells, and nothing else
writes here.

Nobody is notified: whoever delivers reads what is not fanned out, many times a second.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Text,
    bindparam,
    func,
    insert,
    literal,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.events import events
from domain.events.catalogue import EventType, refuse_unknown_keys

_TEXT = "INSERT INTO events (type, organization_id, data) SELECT {type}, {of}, {data} FROM {rows}"
_APPEND = (
    insert(events)
    .values(
        type=bindparam("type"),
        organization_id=bindparam("organization_id"),
        data=bindparam("data"),
    )
    .inline()
)


async def append(
    conn: AsyncConnection, type_: EventType, organization_id: str | None, data: Mapping[str, Any]
) -> None:
    """Write an event, of the installation if there is no organization. The caller changes the fact
    in the same transaction, under its lock, and commits.
    """
    refuse_unknown_keys(type_, set(data))
    written = {"type": type_.value, "organization_id": organization_id, "data": dict(data)}
    await conn.execute(_APPEND, written)


async def append_all(
    conn: AsyncConnection, type_: EventType, each: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """The same for several facts: the organization and the data of each."""
    written = []
    for organization_id, data in each:
        refuse_unknown_keys(type_, set(data))
        written.append(
            {"type": type_.value, "organization_id": organization_id, "data": dict(data)}
        )
    if written:
        await conn.execute(_APPEND, written)


def telling(
    type_: EventType,
    rows: FromClause,
    organization_id: ColumnElement[Any],
    data: Mapping[str, ColumnElement[Any]],
) -> Select[Any]:
    """One event for each of these rows, such as those that a statement changed; for `appending`."""
    refuse_unknown_keys(type_, set(data))
    pairs = [part for name, value in data.items() for part in (literal(name, Text), value)]
    return select(
        literal(type_.value, Text), organization_id, func.jsonb_build_object(*pairs)
    ).select_from(rows)


def appending(*tellings: Select[Any]) -> Insert:
    """The statement that writes these events: it can be part of the one that changes the facts, for
    statements that are sent together.
    """
    names = ["type", "organization_id", "data"]
    rows = tellings[0] if len(tellings) == 1 else union_all(*tellings)
    return insert(events).from_select(names, rows)


def appending_sql(
    type_: EventType, rows: str, organization_id: str, data: Mapping[str, str]
) -> str:
    """The same as text, for a statement written as text: `data` has an expression for each field."""
    refuse_unknown_keys(type_, set(data))
    pairs = ", ".join(f"'{name}', {value}" for name, value in data.items())
    return _TEXT.format(
        type=f"'{type_.value}'", of=organization_id, data=f"jsonb_build_object({pairs})", rows=rows
    )
