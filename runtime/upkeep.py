"""Runs every second in a worker, with or without Temporal: expires holds, collects debts, resumes
campaigns, seals.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.campaigns.status_checks import Checking
from activities.notifier import Notifier
from db import locks
from db.audit import alert_records, reconciliations
from db.billing import empty_wallets, receivables
from db.campaigns import parked_campaigns, refusals, runs, status_checks
from db.lifecycle import deadlines, standing_counts, unnotified
from db.outbound import old_events, old_rows
from db.pipeline import reading
from db.wallet import holds, seals
from db.wallet.unsealed_wallets import NOTHING
from domain.alerts import AlertKind
from runtime.loops import Loop

log = structlog.get_logger()
EVERY = timedelta(seconds=1)
WATCH_EVERY = timedelta(seconds=30)
"""Raises and clears alerts of campaigns that wait long, and of a reconciliation that is late."""
EMPTY_EVERY = timedelta(minutes=5)
"""Reads every wallet whose organization is suspended when it is empty."""
RESUME_EVERY = timedelta(seconds=5)
"""Events resume campaigns; this finds those that no event resumed."""
UNDECIDED_EVERY = timedelta(minutes=15)
SEALED_PER_SECOND = 2_500
"""Entries, about a tenth of one core: money has priority, and what is booked faster is sealed at
night.
"""
ORGANIZATIONS, AT_ONCE = 100, 4
"""In one pass, and concurrently."""
PAGE = 1000


def rest_of_sealing(entries: int, *, more: bool, spent: float) -> float:
    """Seconds until the next batch, after one that took `spent`. At least as long, for a server that
    is so busy that batches take long; and once nothing waits, until there is a batch worth its
    statement.
    """
    if not more:
        return EVERY.total_seconds()
    return max(spent, entries / SEALED_PER_SECOND - spent)


class Upkeep:
    """Every step is idempotent and takes the usual locks: any number of workers may run it."""

    def __init__(self, engine: AsyncEngine, notifier: Notifier, checking: Checking) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._notifier = notifier
        self._checking = checking
        self._unsealed = NOTHING

    async def run(self) -> None:
        """Runs until cancelled, whichever server is down."""
        loops = (
            Loop(AlertKind.EXPIRY_FAILED, self._expire, self._engine),
            Loop(AlertKind.RECOVERY_FAILED, self._recover, self._engine),
            Loop(AlertKind.EMPTYING_FAILED, self._suspend_empty, self._engine),
            Loop(AlertKind.RESUME_FAILED, self._go_on, self._engine),
            Loop(AlertKind.WATCH_FAILED, self._watch, self._engine),
            Loop(AlertKind.SEALING_FAILED, self._seal, self._engine),
            Loop(AlertKind.CHECKING_FAILED, self._check, self._engine),
            Loop(AlertKind.UNDECIDED_FAILED, self._find_undecided, self._engine),
        )
        try:
            async with asyncio.TaskGroup() as running:
                for loop in loops:
                    running.create_task(loop.run())
        finally:
            await self._checking.stop()

    async def _expire(self) -> float:
        await self.expire_holds(now=datetime.now(UTC))
        return EVERY.total_seconds()

    async def _recover(self) -> float:
        await self.recover_owed()
        return EVERY.total_seconds()

    async def _suspend_empty(self) -> float:
        await self.suspend_empty(now=datetime.now(UTC))
        return EMPTY_EVERY.total_seconds()

    async def _go_on(self) -> float:
        await self.resume_parked()
        return RESUME_EVERY.total_seconds()

    async def _watch(self) -> float:
        async with self._engine.begin() as conn:
            await runs.watch(conn, now=datetime.now(UTC))
            await refusals.forget(conn, now=datetime.now(UTC))
            await standing_counts.add_up(conn)
            await reconciliations.watch(conn, now=datetime.now(UTC))
            await alert_records.tidy(conn)
            await deadlines.warn(conn, now=datetime.now(UTC))
        async with self._engine.begin() as conn:
            await old_rows.delete(conn, now=datetime.now(UTC))
            await old_events.delete(conn, now=datetime.now(UTC))
        return WATCH_EVERY.total_seconds()

    async def _seal(self) -> float:
        began = time.monotonic()
        async with self._engine.begin() as conn:
            sealed = await seals.seal(conn, self._unsealed)
        self._unsealed = sealed.found
        more = bool(sealed.found.waiting)
        return rest_of_sealing(sealed.entries, more=more, spent=time.monotonic() - began)

    async def _check(self) -> float:
        """Without a rest while callbacks arrive faster than they are read."""
        begun = await self._checking.check(now=datetime.now(UTC), patience=EVERY)
        return 0.0 if begun >= status_checks.EACH else EVERY.total_seconds()

    async def _find_undecided(self) -> float:
        async with self._engine.begin() as conn:
            await status_checks.add_undecided(conn, now=datetime.now(UTC))
        return UNDECIDED_EVERY.total_seconds()

    async def expire_holds(self, *, now: datetime) -> int:
        """Release overdue holds by organization; campaigns that waited for money resume."""

        async def expire(organization_id: str) -> bool:
            async with self._engine.begin() as conn:
                await locks.hurry(conn)
                await holds.expire(conn, organization_id, now=now)
            await self._resume(organization_id)
            return True

        async with self._reading.connect() as conn:
            due = await holds.due(conn, now=now, limit=ORGANIZATIONS)
        return await _each(due, expire, "expiry_failed")

    async def recover_owed(self) -> int:
        """Collect debts from new money: a credit, an expired hold, a message's refund."""

        async def recover(organization_id: str) -> bool:
            async with self._engine.begin() as conn:
                await locks.hurry(conn)
                changed = await receivables.recover(conn, organization_id, now=datetime.now(UTC))
            if changed:
                await self._notify(
                    organization_id, self._notifier.notify_organization(organization_id)
                )
            return bool(changed)

        async with self._reading.connect() as conn:
            due = await unnotified.owing(conn, limit=ORGANIZATIONS)
        return await _each(due, recover, "recovery_failed")

    async def suspend_empty(self, *, now: datetime) -> int:
        """Suspend organizations whose wallets have been empty for longer than their policy allows."""

        async def suspend(organization_id: str) -> bool:
            async with self._engine.begin() as conn:
                await locks.hurry(conn)
                suspended = await empty_wallets.suspend(conn, organization_id, now=now)
            if suspended:
                await self._notify(
                    organization_id, self._notifier.notify_organization(organization_id)
                )
            return suspended

        number, after = 0, ""
        while True:
            async with self._reading.connect() as conn:
                due, last = await empty_wallets.due(conn, now=now, after=after, limit=PAGE)
            number += await _each(due, suspend, "emptying_failed")
            if last is None:
                return number
            after = last

    async def resume_parked(self) -> int:
        """Resume eligible campaigns that no event resumed: after a refund, a paid debt, or a crash
        that followed a credit.
        """

        async def resume(organization_id: str) -> bool:
            await self._resume(organization_id)
            return True

        async with self._reading.connect() as conn:
            due = await parked_campaigns.may_go_on(conn, now=datetime.now(UTC), limit=ORGANIZATIONS)
        return await _each(due, resume, "resume_failed")

    async def _resume(self, organization_id: str) -> None:
        async with self._engine.begin() as conn:
            await locks.hurry(conn)
            resumed = await parked_campaigns.resume_eligible(
                conn, organization_id, now=datetime.now(UTC)
            )
        for campaign_id in resumed:
            await self._notify(
                organization_id, self._notifier.notify_campaign(organization_id, campaign_id)
            )

    async def _notify(self, organization_id: str, notifying: Awaitable[None]) -> None:
        try:
            await notifying
        except Exception as problem:  # noqa: BLE001 - the relay notifies it later
            log.warning(
                "notification_failed",
                organization_id=organization_id,
                reason=type(problem).__name__,
            )


async def _each(
    organization_ids: Sequence[str], step: Callable[[str], Awaitable[bool]], failed: str
) -> int:
    """Run the step for each organization, some concurrently; returns for how many it did something.
    A failure does not block others.

    Raises an unexpected failure after all had their turn; a locked wallet is expected and retried.
    """
    unexpected: list[Exception] = []
    turns = asyncio.Semaphore(AT_ONCE)

    async def take(organization_id: str) -> bool:
        async with turns:
            try:
                return await step(organization_id)
            except DBAPIError as problem:
                log.warning(
                    failed, organization_id=organization_id, reason=type(problem.orig).__name__
                )
            except Exception as problem:
                log.error(failed, organization_id=organization_id, exc_info=problem)
                unexpected.append(problem)
        return False

    done = await asyncio.gather(*(take(organization_id) for organization_id in organization_ids))
    if unexpected:
        raise unexpected[0]
    return sum(done)
