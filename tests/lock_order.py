"""Checks the order in which transactions lock rows: two transactions with different orders can
deadlock.

Statements that go to psycopg directly are not seen.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Connection, Engine, event

ORDER = ("standings", "campaigns", "wallets", "messages")
AFTER_STANDINGS = ("inbox", "alerts")
_WRITES = re.compile(r"\b(?:update|delete\s+from)\s+(?:only\s+)?(\w+)", re.IGNORECASE)
_UPSERTS = re.compile(
    r"\binsert\s+into\s+(\w+).*\bon\s+conflict\b.*\bdo\s+update\b", re.IGNORECASE | re.DOTALL
)
_READS = re.compile(r"\b(?:from|join)\s+(\w+)", re.IGNORECASE)
_LOCKS = re.compile(r"\bfor\s+(?:no\s+key\s+)?update(?:\s+of\s+(\w+))?", re.IGNORECASE)


@lru_cache(maxsize=4096)
def locked_by(statement: str) -> frozenset[str]:
    """The tables whose rows it locks."""
    tables = {*_WRITES.findall(statement), *_UPSERTS.findall(statement)}
    for of in _LOCKS.findall(statement):
        tables |= {of} if of else set(_READS.findall(statement))
    return frozenset(tables & {*ORDER, *AFTER_STANDINGS})


def out_of_order(locked: frozenset[str], wanted: frozenset[str]) -> set[str]:
    """What of `locked` should have been locked after something of `wanted`."""
    wrong: set[str] = set()
    for table in wanted - locked:
        if table in ORDER:
            later = ORDER[ORDER.index(table) + 1 :] + (
                AFTER_STANDINGS if table == "standings" else ()
            )
            wrong |= locked & {*later}
    return wrong


@contextmanager
def watched() -> Iterator[list[str]]:
    """Yields each violation of the lock order, in every engine of this process."""
    found: list[str] = []

    def before(conn: Connection, _cursor: object, statement: str, *_: object) -> None:
        if conn.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return
        wanted = locked_by(statement)
        if not wanted:
            return
        locked: frozenset[str] = conn.info.get("locked", frozenset())
        waits = "skip locked" not in statement.lower()
        wrong = out_of_order(locked, wanted) if waits else set()
        if wrong:
            found.append(
                f"holds {sorted(wrong)}, then locks {sorted(wanted - locked)}: {' '.join(statement.split())}"
            )
        conn.info["locked"] = locked | wanted

    def begun(conn: Connection) -> None:
        conn.info["locked"] = frozenset()

    event.listen(Engine, "begin", begun)
    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", before)
        event.remove(Engine, "begin", begun)
