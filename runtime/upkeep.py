"""What a worker does every second, Temporal there or not: ends holds, takes what is owed, resumes campaigns, seals."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.service import RPCError

from activities.doorbell import Doorbell
from db import campaigns, holds, reversals, seals, waiting

log = structlog.get_logger()
EVERY = timedelta(seconds=1)
RESUME_EVERY = timedelta(seconds=5)
"""What resumes a campaign is the event that lets it; this finds what no event did."""
IDLE_SHARE = 9
"""Sealing rests so many times as long as a batch took: money goes first, and at night it catches up."""
ORGANIZATIONS = 100
"""In one pass."""


class Upkeep:
    """Every step is idempotent and takes its locks as anybody does: any number of workers may run it."""

    def __init__(self, engine: AsyncEngine, doorbell: Doorbell) -> None:
        self._engine = engine
        self._doorbell = doorbell

    async def run(self) -> None:
        """Until it is cancelled, whatever is down meanwhile."""
        async with asyncio.TaskGroup() as steps:
            steps.create_task(self._again_and_again(self._expire))
            steps.create_task(self._again_and_again(self._recover))
            steps.create_task(self._again_and_again(self._go_on))
            steps.create_task(self._again_and_again(self._seal))

    async def _again_and_again(self, step: Callable[[], Awaitable[float]]) -> None:
        while True:
            rest = EVERY.total_seconds()
            try:
                rest = await step()
            except (SQLAlchemyError, OSError) as problem:
                log.warning("upkeep_failed", reason=type(problem).__name__, detail=str(problem).splitlines()[0][:200])
            await asyncio.sleep(rest)

    async def _expire(self) -> float:
        await self.expire_holds(now=datetime.now(UTC))
        return EVERY.total_seconds()

    async def _recover(self) -> float:
        await self.recover_owed()
        return EVERY.total_seconds()

    async def _go_on(self) -> float:
        await self.resume_parked()
        return RESUME_EVERY.total_seconds()

    async def _seal(self) -> float:
        began = time.monotonic()
        async with self._engine.begin() as conn:
            sealed = await seals.seal(conn)
        return (time.monotonic() - began) * IDLE_SHARE if sealed else EVERY.total_seconds()

    async def expire_holds(self, *, now: datetime) -> int:
        """Let go of what is overdue, organization by organization; campaigns that waited for money go on."""
        async with self._engine.connect() as conn:
            due = await holds.due(conn, now=now, limit=ORGANIZATIONS)
        expired = 0
        for organization_id in due:
            try:
                async with self._engine.begin() as conn:
                    await holds.expire(conn, organization_id, now=now)
                await self._resume(organization_id)
                expired += 1
            except DBAPIError as problem:  # one wallet whose row somebody keeps locked must not hold up the others
                log.warning("expiry_failed", organization_id=organization_id, reason=type(problem.orig).__name__)
        return expired

    async def recover_owed(self) -> int:
        """Take for what payers got back whatever came in by itself: a credit, a hold's end, a message's refund."""
        async with self._engine.connect() as conn:
            due = await waiting.owing(conn, limit=ORGANIZATIONS)
        recovered = 0
        for organization_id in due:
            try:
                async with self._engine.begin() as conn:
                    changed = await reversals.recover(conn, organization_id, now=datetime.now(UTC))
                if changed:
                    recovered += 1
                    await self._ring(organization_id, self._doorbell.ring_organization(organization_id))
            except DBAPIError as problem:  # as with holds
                log.warning("recovery_failed", organization_id=organization_id, reason=type(problem.orig).__name__)
        return recovered

    async def resume_parked(self) -> int:
        """Let campaigns go on that may and that no event resumed: a refund, a debt paid, a crash behind a credit."""
        async with self._engine.connect() as conn:
            due = await waiting.parked(conn, limit=ORGANIZATIONS)
        for organization_id in due:
            try:
                await self._resume(organization_id)
            except DBAPIError as problem:  # as with holds
                log.warning("resume_failed", organization_id=organization_id, reason=type(problem.orig).__name__)
        return len(due)

    async def _resume(self, organization_id: str) -> None:
        async with self._engine.begin() as conn:
            resumed = await campaigns.resume_eligible(conn, organization_id)
        for campaign_id in resumed:
            await self._ring(organization_id, self._doorbell.ring_campaign(organization_id, campaign_id))

    async def _ring(self, organization_id: str, ringing: Awaitable[None]) -> None:
        try:
            await ringing
        except (RPCError, RuntimeError) as problem:  # the relay rings a silent campaign, and whoever has steps to take
            log.warning("ring_failed", organization_id=organization_id, reason=type(problem).__name__)
