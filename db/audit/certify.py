"""Proves guarantees 1 to 7 on the live database: each claim has a query that counts its
violations.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.audit.catalogue_checks import CATALOGUE_CHECKS
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
    *ROW_CHECKS,
    *CATALOGUE_CHECKS,
)
Progress = Callable[[int, int, str], None]


@asynccontextmanager
async def snapshot(
    engine: AsyncEngine, *, longest: timedelta = timedelta(0)
) -> AsyncIterator[AsyncConnection]:
    """A read-only snapshot of the database; everything that is compared must be read on it.

    A large ledger takes time: no statement may run longer than `longest`; zero for no limit.
    """
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        await conn.execute(
            text(f"SET LOCAL statement_timeout = {longest // timedelta(milliseconds=1)}")
        )
        yield conn


async def examine(
    engine: AsyncEngine, *, longest: timedelta = timedelta(0), progress: Progress | None = None
) -> list[Finding]:
    """Run every check on one snapshot and return all findings."""
    async with snapshot(engine, longest=longest) as conn:
        return await certify(conn, progress)


async def certify(conn: AsyncConnection, progress: Progress | None = None) -> list[Finding]:
    """Run every check on the connection's snapshot; changes nothing. Call it in a REPEATABLE READ
    transaction.

    Before each check, `progress` receives the number of finished checks, the total, and the next
    check.
    """
    findings = []
    for done, check in enumerate(CHECKS):
        if progress is not None:
            progress(done, len(CHECKS), check.claim)
        examined, broken, *first = (await conn.execute(text(check.sql.replace(":", r"\:")))).one()
        findings.append(
            Finding(
                guarantee=check.guarantee,
                check=check.claim,
                examined=examined,
                broken=broken,
                first=first[0] if first else None,
            )
        )
    return findings
