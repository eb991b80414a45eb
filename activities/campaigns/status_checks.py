"""Reads messages at Twilio before a refund that a callback suggests, and messages without
callbacks.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.service import RPCError

from activities.campaigns.twilio_lookup import LOOK_UP_AFTER, look_up
from activities.failures import first_line
from activities.notifier import Notifier
from db import locks
from db.campaigns import messages, readings, status_checks
from db.campaigns.readings import Outcome, Reading
from db.campaigns.status_checks import Check
from db.lifecycle import organizations
from db.lifecycle.organizations import Organization
from db.pipeline import reading
from providers.errors import NotFound, ProviderError
from providers.twilio import Twilio

log = structlog.get_logger()
AT_ONCE, OF_ONE = 40, 10
"""Messages read concurrently, in all and of one organization."""
WRITING = 4
"""Organizations written concurrently: each occupies a connection and waits for its own locks."""


class Checking:
    """Any number of workers may run it. No lock is held during a query; a silent Twilio only delays
    refunds.
    """

    def __init__(
        self, engine: AsyncEngine, twilio: Twilio, notifier: Notifier, *, lost_after: timedelta
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._notifier = notifier
        self._lost_after = lost_after
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._reading = asyncio.Semaphore(AT_ONCE)
        self._writing = asyncio.Semaphore(WRITING)

    async def check(self, *, now: datetime, patience: timedelta | None = None) -> int:
        """Read the due messages at Twilio and record their status; returns for how many that began.

        Each organization runs on its own, so one's account or locks do not block another's. After
        `patience` the slow ones continue in the background.
        """
        async with self._engine.begin() as conn:
            due = await status_checks.take(conn, now=now, but=self._busy.keys())
        for organization_id, checks in due.items():
            task = asyncio.create_task(self._check(organization_id, checks, now))
            self._busy[organization_id] = task
            task.add_done_callback(lambda _, of=organization_id: self._busy.pop(of))  # type: ignore[misc]
        if self._busy:
            await asyncio.wait(
                self._busy.values(), timeout=None if patience is None else patience.total_seconds()
            )
        return sum(len(checks) for checks in due.values())

    async def stop(self) -> None:
        """Interrupted checks are repeated by the next worker."""
        under_way = list(self._busy.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _check(self, organization_id: str, checks: Sequence[Check], now: datetime) -> None:
        """A failed check is repeated a minute later; `take` has scheduled it even where that cannot
        be written.
        """
        unread = list(checks)
        try:
            async with reading(self._engine).connect() as conn:
                organization = await organizations.get(conn, organization_id)
            if organization is None:
                return
            found = await self._read(organization, checks)
            read = {reading.check for reading in found}
            async with self._writing, self._engine.begin() as conn:
                await locks.hurry(conn)
                outcome = await readings.apply(conn, organization_id, found, now=now)
            unread = [check for check in checks if check not in read]
            await self._look_up(organization, checks, outcome, now)
            if outcome.refunded:
                # campaigns resume if it may send by now
                await self._notifier.notify_organization(organization_id)
        except (ProviderError, SQLAlchemyError, OSError) as problem:
            log.warning(
                "status_check_failed",
                organization_id=organization_id,
                reason=type(problem).__name__,
                detail=first_line(problem),
            )
        except (RPCError, RuntimeError) as problem:  # the lifecycle workflow checks on its own, too
            log.warning(
                "notification_failed",
                organization_id=organization_id,
                reason=type(problem).__name__,
            )
        except Exception as problem:
            log.error("status_check_failed", organization_id=organization_id, exc_info=problem)
        finally:
            await self._put_off(organization_id, unread, now)

    async def _put_off(self, organization_id: str, unread: Sequence[Check], now: datetime) -> None:
        if not unread:
            return
        try:
            async with self._engine.begin() as conn:
                await locks.hurry(conn)
                await status_checks.put_off(conn, organization_id, unread, now=now)
        except (SQLAlchemyError, OSError) as problem:
            log.warning(
                "status_check_failed",
                organization_id=organization_id,
                reason=type(problem).__name__,
            )

    async def _read(self, organization: Organization, checks: Sequence[Check]) -> list[Reading]:
        """Reads a few at a time; the rest waits if Twilio does not answer."""
        found: list[Reading] = []
        for start in range(0, len(checks), OF_ONE):
            some = checks[start : start + OF_ONE]
            read = await asyncio.gather(
                *(self._read_one(organization, check) for check in some), return_exceptions=True
            )
            found += [result for result in read if isinstance(result, Reading)]
            failed = [result for result in read if isinstance(result, BaseException)]
            if failed and not isinstance(failed[0], ProviderError):
                raise failed[0]
            if failed:
                log.warning(
                    "message_query_failed", organization_id=organization.id, reason=str(failed[0])
                )
                break
        return found

    async def _read_one(self, organization: Organization, check: Check) -> Reading:
        try:
            async with self._reading:
                sent = await self._twilio.get_message(
                    organization.twilio_account_sid, check.message_sid
                )
        except NotFound:
            return Reading(check=check, sent=None)
        return Reading(check=check, sent=sent)

    async def _look_up(
        self, organization: Organization, checks: Sequence[Check], outcome: Outcome, now: datetime
    ) -> None:
        """Identify messages whose Twilio sid only callbacks gave; they are read again afterwards."""
        if not outcome.look_up:
            return
        async with reading(self._engine).connect() as conn:
            found = await messages.in_window(conn, organization.id, list(outcome.look_up))
        before = now - LOOK_UP_AFTER  # until then the answer to the POST may still supply it
        waiting = [
            message
            for message in found
            if message.is_taken_on_trust
            and message.sending_at is not None
            and message.sending_at < before
        ]
        looked_up = await look_up(
            self._engine, self._twilio, organization, waiting, now=now, lost_after=self._lost_after
        )
        sure = [reply for reply in looked_up.replies if reply.provider_sid is not None]
        unsure = {reply.message.id for reply in looked_up.replies} - {
            reply.message.id for reply in sure
        }
        async with self._writing, self._engine.begin() as conn:
            await locks.hurry(conn)
            await readings.settle(conn, organization.id, sure)
            if unsure:
                of_these = [check for check in checks if check.message_id in unsure]
                await readings.leave_to_a_person(conn, organization.id, of_these, looked_up.unsure)
