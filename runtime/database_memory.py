"""What a process remembers of its database; a database that went back in time is fenced before it
is used.
"""

from typing import Any

import structlog
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from db.recovery import fences, marks
from domain.recovery.marks import Mark, went_back

log = structlog.get_logger()
_SHUT = "INSERT INTO fences (reason, shut_by) VALUES (%s, %s) ON CONFLICT DO NOTHING"


class Memory:
    """`known` is the newest mark that this process has read, `fence` why the fence is shut."""

    def __init__(self) -> None:
        self.known: Mark | None = None
        self.fence = ""

    def compare(self, known: Mark | None, found: Mark, fence: str | None) -> str:
        """Why the fence has to be shut now; empty if it is shut, or need not be.

        `known` was remembered before `found` was read. While the fence is shut, what is found is
        accepted: an operator opens it.
        """
        if fence is not None:
            self.known, self.fence = found, fence
            return ""
        why = "" if known is None else went_back(known, found, watched=True)
        if why:
            self.fence = in_words(why, found)
            return self.fence
        self.fence = ""
        if self.known is None or self.known.number <= found.number:
            self.known = found
        return ""


def in_words(why: str, found: Mark) -> str:
    used = "never" if found.last_used is None else f"at {found.last_used:%Y-%m-%dT%H:%M:%S%z}"
    return f"the database went back in time: {why}; it was last used {used}"


def remember(engine: AsyncEngine, memory: Memory) -> None:
    """Compare each new connection of the engine with the memory before it is used.

    A server that takes over, or is restored, can only be reached by a new connection.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def compare(connection: Any, _record: Any) -> None:
        known = memory.known
        if known is None:
            return
        cursor = connection.cursor()
        try:
            cursor.execute(marks.READ)
            row = cursor.fetchone()
            why = "" if row is None else memory.compare(known, *marks.read(row))
            if why:
                cursor.execute(_SHUT, (why, fences.TOLLGATE))
                log.error("database_went_back", detail=why)
        finally:
            cursor.close()
        connection.commit()
