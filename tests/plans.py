"""Notes which statements the connections of an engine prepare, and asks PostgreSQL how it executes
them for any parameters.
"""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy
from psycopg import sql
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.pipeline import reading

_PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_PREPARED = """
    SELECT statement, parameter_types::text[] FROM pg_prepared_statements WHERE NOT from_sql
"""
_PARTIAL = "SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL"


@dataclass(slots=True)
class Recorded:
    """The statements that were executed, each with the tables that it reads from end to end."""

    scanned: dict[str, set[str]] = field(default_factory=dict)


@asynccontextmanager
async def recorded(engine: AsyncEngine) -> AsyncIterator[Recorded]:
    """Records what the engine executes until the block ends."""
    noted: dict[str, list[str]] = {}
    found = Recorded()

    def prepare_everything(connection: Any, _record: Any) -> None:
        connection.driver_connection.prepare_threshold = 0
        connection.driver_connection.prepared_max = None

    def note(connection: sqlalchemy.Connection) -> None:
        """Before a rollback, after which psycopg forgets what it prepared."""
        driver: Any = connection.connection.driver_connection
        if driver.info.transaction_status is not psycopg.pq.TransactionStatus.INERROR:
            cursor = connection.connection.cursor()
            cursor.execute(_PREPARED)
            noted.update(cursor.fetchall())
            cursor.close()

    await engine.dispose()
    event.listen(engine.sync_engine, "connect", prepare_everything)
    for end in ("commit", "rollback"):
        event.listen(engine.sync_engine, end, note)
    try:
        yield found
    finally:
        event.remove(engine.sync_engine, "connect", prepare_everything)
        for end in ("commit", "rollback"):
            event.remove(engine.sync_engine, end, note)
        await engine.dispose()
    async with reading(engine).connect() as conn:
        driver = (await conn.get_raw_connection()).driver_connection
        assert driver is not None
        found.scanned = await _plans(driver, noted)


async def explained(conn: AsyncConnection, query: str, params: Mapping[str, Any]) -> set[str]:
    """The tables that a query reads from end to end with these parameters."""
    partial = set((await conn.execute(text(_PARTIAL))).scalars())
    plans = (await conn.execute(text(f"EXPLAIN (FORMAT JSON) {query}"), params)).scalar_one()
    return {table for part in plans for table in _scanned(part["Plan"], partial)}


async def _plans(
    connection: psycopg.AsyncConnection, noted: Mapping[str, list[str]]
) -> dict[str, set[str]]:
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    partial = {name for (name,) in await (await connection.execute(_PARTIAL)).fetchall()}
    found = {}
    for statement, types in noted.items():
        if not statement.lstrip().upper().startswith(_PLANNED) or statement == _PREPARED:
            continue
        typed, nothing = f"({', '.join(types)})", f"({', '.join(['NULL'] * len(types))})"
        prepare = f"PREPARE noted{typed if types else ''} AS {statement}"
        explain = f"EXPLAIN (FORMAT JSON) EXECUTE noted{nothing if types else ''}"
        await connection.execute(sql.SQL(prepare))
        [answer] = await (await connection.execute(sql.SQL(explain))).fetchone() or [[]]
        await connection.execute("DEALLOCATE noted")
        found[statement] = {table for part in answer for table in _scanned(part["Plan"], partial)}
    return found


def _scanned(
    node: Mapping[str, Any], partial: Collection[str], *, limited: bool = False
) -> Iterator[str]:
    """An index read from end to end is a scan, too, unless it has some rows only, or a limit ends
    it.
    """
    kind = node["Node Type"]
    index = node.get("Index Name")
    if kind == "Seq Scan" or (
        index is not None and "Index Cond" not in node and index not in partial and not limited
    ):
        yield node.get("Relation Name", str(index))
    limited = kind == "Limit" or (limited and kind not in ("Sort", "Aggregate", "Hash"))
    for child in node.get("Plans", ()):
        yield from _scanned(child, partial, limited=limited and "Filter" not in child)
