"""Finds messages of subaccounts that Tollgate did not hand over, in both directions, in Twilio's
lists. Never decides about a message that could still be ours.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.failures import attempt_each, first_line
from db import alerts, locks
from db.carrier import foreign_charges, foreign_messages, message_readings, readings
from db.carrier.message_readings import Due, Progress
from db.recovery import fences
from domain.alerts import AlertKind
from domain.campaigns.telephony import SentMessage
from domain.carrier.foreign import Direction, Foreign, read_from
from providers.errors import ProviderError, ProviderRefused
from providers.twilio import Twilio

log = structlog.get_logger()
ORGANIZATIONS, AT_ONCE = 24, 4
LONGEST = timedelta(seconds=20)
"""One step reads the lists of so many organizations, some at the same time: two minutes at worst."""
PAGES, SECONDS = 10, 10.0
"""Of a thousand messages, and time, in one step; the next one continues there."""
ALERTED_EVERY = timedelta(days=1)
NEW_AGAIN_AFTER = timedelta(days=28)
"""Received messages are an organization's business; that it begins to receive any is news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Where a pass continues, and what the step did."""

    after: str | None
    read: int = 0
    found: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """How many messages of one organization are new, and whether all of its list was read."""

    found: int
    complete: bool


class ForeignMessages:
    """`turn` waits for the turn of one call of the budget that all workers share."""

    def __init__(
        self, engine: AsyncEngine, twilio: Twilio, turn: Callable[[], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._turn = turn

    async def find(self, after: str, *, organizations: int, now: datetime) -> Readings:
        """Read the lists of the next organizations that are due. While a fence is shut nothing is
        foreign: the database may have forgotten what it sent.

        What cannot be read now is left to the next pass; raises retryably if Twilio answers
        nothing.
        """
        async with self._engine.connect() as conn:
            if await fences.current(conn) is not None:
                return Readings(after=None)
            walked = await message_readings.due(
                conn, after=after, organizations=organizations, now=now, limit=ORGANIZATIONS
            )
        outcomes = await attempt_each(
            walked.due, lambda each: self._try(each, now), at_once=AT_ONCE
        )
        done = [outcome for outcome in outcomes if isinstance(outcome, Read)]
        following = walked.after if all(read.complete for read in done) else after
        return Readings(after=following, read=len(done), found=sum(read.found for read in done))

    async def _try(
        self, due: Due, now: datetime
    ) -> Read | ProviderError | DBAPIError | TimeoutError:
        try:
            async with asyncio.timeout(LONGEST.total_seconds()):
                return await self.read(due, now=now)
        except (ProviderError, DBAPIError, TimeoutError) as problem:
            log.warning(
                "message_list_failed",
                organization_id=due.organization_id,
                reason=first_line(problem) or type(problem).__name__,
            )
            if isinstance(problem, ProviderRefused):
                async with self._engine.begin() as conn:
                    await message_readings.note(
                        conn, due.organization_id, None, found=False, now=now
                    )
            return problem

    async def read(self, due: Due, *, now: datetime) -> Read:
        """Read the organization's list since the last reading, or some pages of it. Raises
        `ProviderError`.
        """
        since = read_from(due.read_until, due.created_at, now)
        progress = due.unfinished or Progress(since=since, until=now)
        began, found = time.monotonic(), 0
        for _ in range(PAGES):
            progress, new = await self._read_page(due, progress, now)
            found += new
            if progress.page is None or time.monotonic() - began > SECONDS:
                break
        async with self._engine.begin() as conn:
            if found:
                await readings.hurry(conn, due.organization_id, now=now)
            else:
                await _clear(conn, due.organization_id)
        await self._charge(due.organization_id, now)
        if progress.page is not None:
            log.info("message_list_long", organization_id=due.organization_id, found=found)
        return Read(found=found, complete=progress.page is None)

    async def _read_page(self, due: Due, progress: Progress, now: datetime) -> tuple[Progress, int]:
        """Returns how far it is, and how many messages were new."""
        await self._turn()
        listed = await self._twilio.page_since(
            due.account_sid, progress.since, inbound=True, page=progress.page
        )
        recorded = await self.record(due.organization_id, listed.messages, now=now)
        until = min(progress.until, recorded.undecided or progress.until)
        progress = replace(progress, page=listed.next, until=until)
        async with self._engine.begin() as conn:
            await message_readings.note(
                conn, due.organization_id, progress, found=bool(recorded.new), now=now
            )
        return progress, len(recorded.new)

    async def _charge(self, organization_id: str, now: datetime) -> None:
        """Pay for what was found, now or before, and is not in the usage yet."""
        taken, some = 0, 1
        while some:
            async with self._engine.begin() as conn:
                await locks.hurry(conn)
                some = await foreign_charges.charge(conn, organization_id, now=now)
            taken += some
        if taken:
            log.info(
                "foreign_messages_charged", organization_id=organization_id, taken_micros=taken
            )

    async def record(
        self, organization_id: str, listed: Sequence[SentMessage], *, now: datetime
    ) -> foreign_messages.Recorded:
        """Record the foreign messages of a page, and tell of new ones, at most once a day. Nothing
        while a fence is shut.
        """
        async with self._engine.begin() as conn:
            if await fences.current(conn) is not None:
                return foreign_messages.Recorded()
            await locks.hurry(conn)
            recorded = await foreign_messages.record(conn, organization_id, listed, now=now)
            await _alert(conn, organization_id, recorded.new, now)
        if recorded.new:
            log.warning(
                "foreign_messages_found",
                organization_id=organization_id,
                outbound=_number(recorded.new, Direction.OUTBOUND),
                inbound=_number(recorded.new, Direction.INBOUND),
            )
        return recorded


async def _alert(
    conn: AsyncConnection, organization_id: str, new: Sequence[Foreign], now: datetime
) -> None:
    """Messages that were sent are told once a day; received ones, which are an organization's
    business, when it begins to receive any.
    """
    sent, received = (
        _number(new, direction) for direction in (Direction.OUTBOUND, Direction.INBOUND)
    )
    if sent and not await alerts.raised_since(
        conn, organization_id, AlertKind.FOREIGN_MESSAGES, now - ALERTED_EVERY
    ):
        newest = _newest(new, Direction.OUTBOUND)
        detail = f"{sent} messages were sent past Tollgate, the newest at {newest}"
        await alerts.raise_(conn, organization_id, AlertKind.FOREIGN_MESSAGES, detail)
    if received and not await foreign_messages.received_since(
        conn,
        organization_id,
        since=now - NEW_AGAIN_AFTER,
        besides=[each.message_sid for each in new],
    ):
        newest = _newest(new, Direction.INBOUND)
        detail = f"{received} messages were received, which Twilio bills, the newest at {newest}"
        await alerts.raise_(conn, organization_id, AlertKind.RECEIVES_MESSAGES, detail)


async def _clear(conn: AsyncConnection, organization_id: str) -> None:
    await alerts.clear(conn, organization_id, AlertKind.FOREIGN_MESSAGES, unseen_for=ALERTED_EVERY)
    await alerts.clear(conn, organization_id, AlertKind.RECEIVES_MESSAGES, unseen_for=ALERTED_EVERY)


def _number(found: Sequence[Foreign], direction: Direction) -> int:
    return sum(each.direction is direction for each in found)


def _newest(found: Sequence[Foreign], direction: Direction) -> str:
    times = [each.happened_at for each in found if each.direction is direction]
    return max(time for time in times if time is not None).strftime("%Y-%m-%d %H:%M UTC")
