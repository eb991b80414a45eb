"""Finds the wallets with unsealed entries: by what was booked since the last pass, and now and then
by comparing all wallets.

A pass remembers up to when it has seen every entry. An entry counts as seen only when every
transaction that was open at that time has ended, since entries are not committed in the order of
their times. What is overlooked nevertheless, as after the server's clock was set back, the next
comparison finds.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

COMPARED_EVERY = timedelta(hours=1)
LONGEST_PERIOD = timedelta(minutes=10)
"""Comparing all wallets costs less than reading what was booked in a longer time."""
LONGEST_TRANSACTION = timedelta(minutes=1)
"""Ours are much shorter; somebody else's may be open for hours."""
_THIS_PASS = text("""
    SELECT now() AS at, pg_current_xact_id()::text::bigint AS xid,
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest_open
""")
_BOOKED = text("""
    SELECT organization_id FROM ledger_entries WHERE created_at >= :since
    GROUP BY organization_id ORDER BY min(created_at)
""")
_BEHIND = text("""
    SELECT w.organization_id
    FROM wallets w LEFT JOIN LATERAL (
        SELECT h.seq FROM ledger_heads h WHERE h.organization_id = w.organization_id ORDER BY h.seq DESC LIMIT 1
    ) head ON true
    WHERE w.entries > coalesce(head.seq, 0)
""")


@dataclass(frozen=True, slots=True)
class Mark:
    """When a pass began, and the number of its transaction: every transaction that had booked
    something before has a lower one.
    """

    at: datetime
    xid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one process knows. `waiting` are wallets that may have unsealed entries, in the order in
    which they are sealed; every entry booked before `since` is sealed or its wallet waits.
    """

    waiting: tuple[str, ...] = ()
    since: datetime | None = None
    mark: Mark | None = None
    compared_at: datetime | None = None


NOTHING = Found()
"""The knowledge of a process that has just started: it compares all wallets."""


async def find(conn: AsyncConnection, before: Found) -> Found:
    """Adds the wallets that were booked on since. Call it once in a transaction."""
    this = (await conn.execute(_THIS_PASS)).one()
    mark = Mark(this.at, this.xid)
    if _must_compare(before, this.at):
        behind = (await conn.execute(_BEHIND)).scalars()
        waiting = _together(before.waiting, list(behind))
        # what was open during the comparison is booked after this, or is compared again
        since = this.at - LONGEST_TRANSACTION
        return Found(waiting=waiting, since=since, mark=mark, compared_at=this.at)
    booked = (await conn.execute(_BOOKED, {"since": before.since})).scalars()
    found = replace(before, waiting=_together(before.waiting, list(booked)))
    if before.mark is None:
        return replace(found, mark=mark)
    if this.oldest_open >= before.mark.xid or this.at - before.mark.at > LONGEST_TRANSACTION:
        return replace(found, since=before.mark.at, mark=mark)
    return found


def _must_compare(before: Found, at: datetime) -> bool:
    if before.since is None or before.compared_at is None:
        return True
    clock_was_set_back = at < before.since
    return (
        clock_was_set_back
        or at - before.since > LONGEST_PERIOD
        or at - before.compared_at > COMPARED_EVERY
    )


def _together(waiting: Collection[str], found: Collection[str]) -> tuple[str, ...]:
    """Each once, whoever waits longer first."""
    return tuple(dict.fromkeys([*waiting, *found]))
