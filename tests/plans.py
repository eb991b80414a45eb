"""Reads from PostgreSQL which statements a connection has prepared, and how it runs them for any
parameters.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

_PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_PREPARED = """
    SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements
    WHERE NOT from_sql
"""


@dataclass(slots=True)
class Recorded:
    """The statements that were executed, each with the tables that it reads from end to end."""

    scanned: dict[str, set[str]] = field(default_factory=dict)


@asynccontextmanager
async def recorded(engine: AsyncEngine) -> AsyncIterator[Recorded]:
    """Records what the engine executes until the block ends."""
    connections: list[psycopg.AsyncConnection] = []
    found = Recorded()

    def prepare_everything(connection: Any, _record: Any) -> None:
        connection.driver_connection.prepare_threshold = 0
        connection.driver_connection.prepared_max = None
        connections.append(connection.driver_connection)

    await engine.dispose()
    event.listen(engine.sync_engine, "connect", prepare_everything)
    try:
        yield found
        for connection in connections:
            assert not connection.closed, "its statements can no longer be asked for"
            await connection.rollback()
            found.scanned |= await _plans(connection)
    finally:
        event.remove(engine.sync_engine, "connect", prepare_everything)
        await engine.dispose()


async def _plans(connection: psycopg.AsyncConnection) -> dict[str, set[str]]:
    await connection.set_autocommit(True)
    connection.prepare_threshold = None
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    prepared = await (await connection.execute(_PREPARED)).fetchall()
    found = {}
    for name, statement, number in prepared:
        if not statement.lstrip().upper().startswith(_PLANNED):
            continue
        nothing = sql.SQL(", ").join([sql.NULL] * number)
        explain = sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE {}{}").format(
            sql.Identifier(name), sql.SQL("({})").format(nothing) if number else sql.SQL("")
        )
        [answer] = await (await connection.execute(explain)).fetchone() or [[]]
        plan = answer if not isinstance(answer, str) else json.loads(answer)
        found[statement] = {table for part in plan for table in _scanned(part["Plan"])}
    return found


def _scanned(node: Mapping[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _scanned(child)
