"""Sends a batch window by window; checks the gate before every window and keeps the shared pace."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.campaigns.pacing import Pacing
from activities.campaigns.pauses import Pause, Pauses
from activities.campaigns.twilio_send import Tally, Terms, hand_over
from activities.failures import translated
from activities.turns import Turns
from db.campaigns import refusals, send_results, windows
from db.campaigns.messages import Message
from db.campaigns.refusals import Course
from db.lifecycle import organizations
from db.lifecycle.organizations import Organization
from db.pipeline import reading
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.send_refusal import Stop
from domain.campaigns.waits import LONGEST_PAID, Waits
from providers.twilio import Twilio

log = structlog.get_logger()
LOOK_EVERY = 5.0
"""Seconds between checks of how carriers treated the campaign's messages."""
LONGEST_PAUSE = 10.0
"""Longest pause, in seconds, that an attempt waits when Twilio asks for one; the workflow waits for
longer ones.
"""
TRIED_BY_ONE = frozenset({Waits.TWILIO_UNREACHABLE, Waits.ACCOUNT_NOT_ACTIVE})
"""After these waits a single message shows whether Twilio takes messages again."""
ACCOUNT_RETRY = 60.0
"""Seconds until the next attempt for an account that Twilio rejects without saying that it is
suspended.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOf:
    """The next batch of one campaign: up to `batch` messages, sent `window` at a time. An attempt
    at sending it lasts `turn_seconds`, then the next begins.
    """

    organization_id: str
    campaign_id: UUID
    batch: int = 2000
    window: int = 100
    turn_seconds: float = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The result of a batch. `stopped`: the gate is shut, the rest is still reserved. `retry_after`
    is in seconds.

    `left`: the attempt's time ran out with messages of the batch left to send. `per_second` is the
    rate of a whole attempt; None for one that ended early.
    """

    accepted: int = 0
    refused: int = 0
    unknown: int = 0
    stopped: bool = False
    retry_after: float | None = None
    left: bool = False
    per_second: float | None = None


@dataclass(slots=True, kw_only=True)
class BatchSender:
    """One attempt at a campaign's batch. `course` is how its earlier messages fared.

    `account` is the key of the parent account's pace. `shut_with_the_account` has the gate shut
    because Twilio rejects the account, or says why it is not.
    """

    engine: AsyncEngine
    twilio: Twilio
    terms: Terms
    organization: Organization
    campaign_id: UUID
    window: int
    turn_seconds: float
    messages_per_second: int | None
    account: str
    course: Course
    shut_with_the_account: Callable[[Organization], Awaitable[str | None]]
    turns: Turns
    windows: asyncio.Semaphore
    pacing: Pacing
    _posted: Tally = field(default_factory=Tally)
    _judged: str = ""  # the sender of the messages judged last
    _counts: dict[MessageStatus, int] = field(default_factory=dict)
    _began: float = 0.0

    async def send(self, unknown: int) -> Sent:
        """Send until nothing is left, the gate shuts, Twilio asks for a long pause or rejects, or
        time runs out.
        """
        self._counts = {
            MessageStatus.ACCEPTED: 0,
            MessageStatus.REFUSED: 0,
            MessageStatus.UNKNOWN: unknown,
        }
        clock = asyncio.get_running_loop().time
        self._began = clock()
        ends, look_at = self._began + self.turn_seconds, self._began + LOOK_EVERY
        pauses = Pauses(
            self.engine, self.organization.id, self.campaign_id, noted=self.course.waits_for
        )
        in_a_row, stop, self._judged = self.course.in_a_row, self.course.stop, self.course.sender
        while stop is None:
            if (sent := await self._pause(pauses)) is not None:
                return sent
            async with self.windows:
                window = await self._next_window(1 if pauses.noted in TRIED_BY_ONE else self._limit)
                if not window:
                    return self._sent(stopped=window is None)
                if (sender := window[0].sender or self.organization.sender) != self._judged:
                    in_a_row, self._judged = 0, sender
                await self._hand_over(window, in_a_row)
            in_a_row = self._posted.verdict.in_a_row
            if self._posted.account_suspended:
                return await self._account_refused(pauses)
            stop = self._posted.verdict.stop
            if stop is None and clock() >= look_at:
                stop, look_at = await self._look(), clock() + LOOK_EVERY
            if self._posted.pause is None:
                await pauses.over()
            if stop is None and self._is_over(ends):
                await self._settle()
                return self._sent(left=True)
        return await self._stop(stop)

    def _is_over(self, ends: float) -> bool:
        return (
            asyncio.get_running_loop().time() > ends
            or activity.is_worker_shutdown()
            or activity.is_cancelled()
        )

    async def _pause(self, pauses: Pauses) -> Sent | None:
        """Wait for Twilio's pause or our turn; returns a result if that takes too long for this
        attempt.
        """
        requested_pause = self._posted.pause
        if requested_pause is not None and requested_pause.seconds > LONGEST_PAUSE:
            await self._settle()
            await pauses.note(requested_pause)
            too_long = requested_pause.seconds > LONGEST_PAID.total_seconds()
            return self._sent(stopped=too_long, retry_after=requested_pause.seconds)
        if requested_pause is not None:
            await self._wait(pauses, requested_pause)
        # One after the other: a turn of the account that began long before the organization's would
        # be used when it is somebody else's.
        for of, per_second in self._paces:
            seconds = await self.pacing.take(of, self._limit, per_second=per_second)
            if seconds:
                await self._wait(pauses, Pause(reason=Waits.PACE, seconds=seconds))
        return None

    async def _wait(self, pauses: Pauses, pause: Pause) -> None:
        await self._settle()
        await pauses.note(pause)
        await asyncio.sleep(pause.seconds)

    async def _next_window(self, limit: int) -> list[Message] | None:
        replies, self._posted = self._posted.replies, Tally()
        async with self.turns.of(self.organization.id), self.engine.begin() as conn:
            return await windows.next_window(
                conn,
                self.organization.id,
                self.campaign_id,
                replies,
                limit=limit,
                now=datetime.now(UTC),
            )

    async def _hand_over(self, window: Sequence[Message], in_a_row: int) -> None:
        with translated():
            self._posted = await hand_over(
                self.twilio,
                self.organization,
                window,
                self.terms,
                in_a_row=in_a_row,
                several=self.course.several,
            )
        for reply in self._posted.replies:
            if reply.status in self._counts:
                self._counts[reply.status] += 1

    async def _account_refused(self, pauses: Pauses) -> Sent:
        await self._settle()
        why_open = await self.shut_with_the_account(self.organization)
        if why_open is None:
            return self._sent(stopped=True)
        await pauses.note(
            Pause(reason=Waits.ACCOUNT_NOT_ACTIVE, seconds=ACCOUNT_RETRY, detail=why_open)
        )
        # refunds the rest: how long Twilio refuses everybody, nobody knows
        return self._sent(stopped=True, retry_after=ACCOUNT_RETRY)

    async def _look(self) -> Stop | None:
        """Read how carriers treated the messages that Twilio accepted meanwhile, and the
        organization's pace, which may have changed.
        """
        async with reading(self.engine).connect() as conn:
            course = await refusals.course(conn, self.organization.id, self.campaign_id)
            organization = await organizations.get(conn, self.organization.id)
        self.organization = organization or self.organization
        if course is None or course.stop is None:
            return None
        self._judged = course.sender
        return course.stop

    async def _stop(self, why: Stop) -> Sent:
        """Park a campaign that Twilio's rejections stop, and record the results of its current
        window.
        """
        replies, self._posted = self._posted.replies, Tally()
        async with self.turns.of(self.organization.id), self.engine.begin() as conn:
            parked = await refusals.stop(
                conn, self.organization.id, self.campaign_id, replies, why, sender=self._judged
            )
        if parked:
            about = {"organization_id": self.organization.id, "campaign_id": str(self.campaign_id)}
            log.warning("campaign_refused", **about, reason=why.park.value, code=why.code)
        return self._sent(stopped=True)

    async def _settle(self) -> None:
        replies, self._posted = self._posted.replies, Tally()
        if replies:
            async with self.turns.of(self.organization.id), self.engine.begin() as conn:
                await send_results.settle(conn, self.organization.id, replies)

    def _spent(self) -> float:
        return max(1.0, asyncio.get_running_loop().time() - self._began)

    @property
    def _paces(self) -> list[tuple[str, int]]:
        paces = [(self.organization.id, self.organization.messages_per_second)]
        paces += [(self.account, self.messages_per_second)]
        return [(of, per_second) for of, per_second in paces if per_second is not None]

    @property
    def _limit(self) -> int:
        """At most a quarter of a second's worth, so that organizations sharing a pace alternate
        often.
        """
        return min([self.window, *(max(1, per_second // 4) for _, per_second in self._paces)])

    def _sent(
        self, *, stopped: bool = False, retry_after: float | None = None, left: bool = False
    ) -> Sent:
        return Sent(
            accepted=self._counts[MessageStatus.ACCEPTED],
            refused=self._counts[MessageStatus.REFUSED],
            unknown=self._counts[MessageStatus.UNKNOWN],
            stopped=stopped,
            retry_after=retry_after,
            left=left,
            per_second=sum(self._counts.values()) / self._spent() if left else None,
        )
