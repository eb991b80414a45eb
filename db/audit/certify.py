"""Proves guarantees 1 to 7 on the live database: each claim has a query that counts its
violations.

Either everything is examined, or what is new since a checkpoint, which an earlier pass that held
has left.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.audit import checkpoints, new_rows
from db.audit.bill_checks import BILL_CHECKS
from db.audit.catalogue_checks import CATALOGUE_CHECKS
from db.audit.checkpoints import CHECKPOINT_CHECKS, Checkpoint
from db.audit.checks import Check
from db.audit.debt_checks import DEBT_CHECKS
from db.audit.event_checks import EVENT_CHECKS
from db.audit.foreign_checks import FOREIGN_CHECKS
from db.audit.gate_checks import GATE_CHECKS
from db.audit.ledger_checks import LEDGER_CHECKS
from db.audit.message_checks import MESSAGE_CHECKS
from db.audit.payment_checks import PAYMENT_CHECKS
from db.audit.reversal_checks import REVERSAL_CHECKS
from db.audit.row_checks import ROW_CHECKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    guarantee: int
    check: str
    examined: int
    broken: int
    first: str | None = None

    @property
    def holds(self) -> bool:
        return self.broken == 0

    @property
    def figure(self) -> str:
        return f"{self.broken} of {self.examined}" + (f", first {self.first}" if self.first else "")


GUARANTEES = {
    1: "No negative balance",
    2: "No Twilio charge without payment",
    3: "No race conditions",
    4: "No duplicate charge",
    5: "Campaigns auto-pause",
    6: "Campaigns auto-resume",
    7: "A frozen wallet blocks sends",
}

CHECKS = (
    *LEDGER_CHECKS,
    *MESSAGE_CHECKS,
    *GATE_CHECKS,
    *PAYMENT_CHECKS,
    *REVERSAL_CHECKS,
    *DEBT_CHECKS,
    *FOREIGN_CHECKS,
    *BILL_CHECKS,
    *EVENT_CHECKS,
    *ROW_CHECKS,
    *CHECKPOINT_CHECKS,
    *CATALOGUE_CHECKS,
)
VERSION = hashlib.sha256(
    "\0".join(check.on_everything for check in CHECKS if check not in CATALOGUE_CHECKS).encode()
).hexdigest()
"""The checks that a checkpoint vouches for: by others, nothing is verified yet."""
Progress = Callable[[int, int, str], None]


@asynccontextmanager
async def snapshot(
    engine: AsyncEngine, *, longest: timedelta = timedelta(0), read_only: bool = True
) -> AsyncIterator[AsyncConnection]:
    """A snapshot of the database; everything that is compared must be read on it.

    A large ledger takes time: no statement may run longer than `longest`; zero for no limit.
    """
    async with engine.connect() as conn:
        await conn.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=read_only
        )
        await _limit(conn, longest)
        yield conn


@asynccontextmanager
async def sharing(
    engine: AsyncEngine, conn: AsyncConnection, number: int
) -> AsyncIterator[tuple[AsyncConnection, ...]]:
    """That many more connections with the snapshot of `conn`, without a limit of time."""
    if not number:
        yield ()
        return
    name = (await conn.execute(text("SELECT pg_export_snapshot()"))).scalar_one()
    async with AsyncExitStack() as stack:
        others = []
        for _ in range(number):
            other = await stack.enter_async_context(engine.connect())
            await other.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            await other.execute(text(f"SET TRANSACTION SNAPSHOT '{name}'"))
            await _limit(other, timedelta(0))
            others.append(other)
        yield tuple(others)


async def examine(
    engine: AsyncEngine,
    *,
    longest: timedelta = timedelta(0),
    progress: Progress | None = None,
) -> list[Finding]:
    """Run every check on one snapshot and return all findings; if all hold, add a checkpoint."""
    async with snapshot(engine, longest=longest) as conn:
        verified = await checkpoints.here(conn, VERSION)
        findings = await certify(conn, progress)
    await note(engine, verified, findings, everything=True)
    return findings


async def examine_new(
    engine: AsyncEngine, *, longest: timedelta = timedelta(0), progress: Progress | None = None
) -> list[Finding] | None:
    """Run every check on what is new since the newest checkpoint; if all hold, add one.

    None if there is no checkpoint of these checks yet: everything has to be examined first. Makes
    temporary tables, so it does not run on a replica.
    """
    async with snapshot(engine, longest=longest, read_only=False) as conn:
        since = await checkpoints.newest(conn, VERSION)
        if since is None:
            return None
        verified = await checkpoints.here(conn, VERSION)
        findings = await certify_new(conn, since, progress)
    await note(engine, verified, findings, everything=False)
    return findings


async def certify(
    conn: AsyncConnection,
    progress: Progress | None = None,
    *,
    others: tuple[AsyncConnection, ...] = (),
) -> list[Finding]:
    """Run every check on the connection's snapshot, which `others` share; changes nothing. Call it
    in a REPEATABLE READ transaction.

    Before each check, `progress` receives the number of finished checks, the total, and the next
    check.
    """
    findings: dict[str, Finding] = {}
    waiting = iter(CHECKS)

    async def work(worker: AsyncConnection) -> None:
        for check in waiting:
            if progress is not None:
                progress(len(findings), len(CHECKS), check.claim)
            findings[check.claim] = await _run(worker, check, check.on_everything)

    try:
        async with asyncio.TaskGroup() as group:
            for connection in (conn, *others):
                group.create_task(work(connection))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [findings[check.claim] for check in CHECKS]


async def certify_new(
    conn: AsyncConnection, since: Checkpoint, progress: Progress | None = None
) -> list[Finding]:
    """Run every check on what is new since the checkpoint, on the connection's snapshot. Call it in
    a REPEATABLE READ transaction that may write, and roll it back.
    """
    await new_rows.find(conn, link=since.link, since=since.since)
    findings = []
    for done, check in enumerate(CHECKS):
        if progress is not None:
            progress(done, len(CHECKS), check.claim)
        findings.append(await _run(conn, check, check.on_new_rows))
    return findings


async def note(
    engine: AsyncEngine, verified: Checkpoint, findings: list[Finding], *, everything: bool
) -> None:
    """Add the checkpoint if all findings hold, and if this role and this server can write."""
    if not all(finding.holds for finding in findings):
        return
    async with engine.begin() as conn:
        if await checkpoints.may_add(conn):
            await checkpoints.add(conn, verified, everything=everything)


async def _limit(conn: AsyncConnection, longest: timedelta) -> None:
    milliseconds = longest // timedelta(milliseconds=1)
    await conn.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))


async def _run(conn: AsyncConnection, check: Check, sql: str) -> Finding:
    examined, broken, *first = (await conn.execute(text(sql.replace(":", r"\:")))).one()
    return Finding(
        guarantee=check.guarantee,
        check=check.claim,
        examined=examined,
        broken=broken,
        first=first[0] if first else None,
    )
