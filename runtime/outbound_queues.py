"""Delivers events to webhook endpoints, in a worker: places what is new, and sends what is due.

Any number of workers may do it at once: the database says whose turn it is.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from random import Random
from uuid import uuid4

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.outbound import fan_out, outcomes, queues
from db.outbound.queues import Head, Leased
from db.pipeline import reading
from domain.alerts import AlertKind
from domain.outbound.deliveries import after_failure
from runtime.loops import Loop
from runtime.outbound_sender import Sender, Sent

log = structlog.get_logger()
LOOK_EVERY = 0.05
"""Seconds between looks for new events. A notification by PostgreSQL would be sooner, but takes a
lock of the whole server when it commits, and does not pass through a pooler.
"""
CLAIM_EVERY = 1.0
"""Events that are due again, or that another worker placed."""
LEASE = timedelta(seconds=60)
PATIENCE = 15.0
"""For so many seconds a lease takes one event after the other; with the last one it has to end before
the lease does.
"""
OF_ONE_ENDPOINT = 4
"""Queues of an endpoint that are attempted at the same time."""
AT_ONCE, MOST = 200, 500
"""Attempts at the same time: those that take longer than a second do not count for the first."""
SLOW = 1.0
RECORDING = 8
"""Connections of the pool."""


class OutboundQueues:
    def __init__(self, engine: AsyncEngine, sender: Sender, *, lease: timedelta = LEASE) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._sender = sender
        self._lease = lease
        self._rung = asyncio.Event()
        self._endpoints: set[str] = set()
        self._claim_all_at = 0.0
        self._running: dict[asyncio.Task[None], float] = {}
        self._leased: Counter[str] = Counter()
        self._recording = asyncio.Semaphore(RECORDING)
        self._random = Random()  # noqa: S311 - it spreads retries, and protects nothing

    async def run(self) -> None:
        """Runs until cancelled; what is being sent then may be sent again, by whoever runs next."""
        loops = (
            Loop(AlertKind.FAN_OUT_FAILED, self._place, self._engine),
            Loop(AlertKind.DELIVERY_FAILED, self._claim, self._engine),
        )
        try:
            async with asyncio.TaskGroup() as running:
                for loop in loops:
                    running.create_task(loop.run())
        finally:
            for task in list(self._running):
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _place(self) -> float:
        async with self._reading.connect() as conn:
            if not (await conn.execute(fan_out.WAITS)).scalar_one():
                return LOOK_EVERY
        async with self._engine.begin() as conn:
            placed = await fan_out.place(conn)
        self._ring(*placed.endpoint_ids)
        return 0.0 if placed.more else LOOK_EVERY

    def _ring(self, *endpoint_ids: str) -> None:
        self._endpoints.update(endpoint_ids)
        if self._endpoints:
            self._rung.set()

    async def _claim(self) -> float:
        wait = max(0.0, self._claim_all_at - time.monotonic())
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):  # `wait_for` loses a cancellation until Python 3.12
                await self._rung.wait()
        self._rung.clear()
        every = time.monotonic() >= self._claim_all_at
        endpoint_ids, self._endpoints = self._endpoints, set()
        if every:
            self._claim_all_at = time.monotonic() + CLAIM_EVERY
        room = self._room()
        if room <= 0:
            self._ring(*endpoint_ids)
            return LOOK_EVERY
        await self._begin(None if every else endpoint_ids, room)
        return 0.0

    async def _begin(self, endpoint_ids: set[str] | None, room: int) -> None:
        async with self._engine.begin() as conn:
            now = await _clock(conn)
            leased = await queues.claim(
                conn,
                uuid4(),
                now=now,
                period=self._lease,
                endpoint_ids=endpoint_ids,
                each=OF_ONE_ENDPOINT,
                limit=room,
            )
        began = time.monotonic()
        for queue in leased:
            task = asyncio.create_task(self._deliver(queue, _Clock(now, began)))
            self._running[task] = began
            task.add_done_callback(self._running.pop)

    def _room(self) -> int:
        since = time.monotonic() - SLOW
        quick = sum(began > since for began in self._running.values())
        return min(AT_ONCE - quick, MOST - len(self._running))

    async def _deliver(self, queue: Leased, clock: "_Clock") -> None:
        """Whatever fails here, the lease ends, and the events are delivered again."""
        self._leased[queue.endpoint_id] += 1
        try:
            more = await self._deliver_heads(queue, clock)
        except Exception as problem:
            log.error("webhook_not_recorded", endpoint=queue.endpoint_id, exc_info=problem)
            more = False
        if more or self._leased[queue.endpoint_id] >= OF_ONE_ENDPOINT:
            self._ring(queue.endpoint_id)
        self._leased[queue.endpoint_id] -= 1
        if not self._leased[queue.endpoint_id]:
            del self._leased[queue.endpoint_id]

    async def _deliver_heads(self, queue: Leased, clock: "_Clock") -> bool:
        """Returns whether the queue is due again."""
        for number, head in enumerate(queue.heads, 1):
            if not head.is_kept:
                async with self._recorded() as conn:
                    await outcomes.note_skipped(conn, head.position, now=clock.now())
                continue
            sent = await self._sender.send(head, queue.url, queue.secrets, now=clock.now())
            last = number == len(queue.heads) or clock.elapsed() >= PATIENCE
            if not sent.answer.ok:
                return await self._record_failure(queue, head, sent, clock.now())
            more = await self._record_success(queue, sent, clock.now(), last=last)
            if last:
                return more
        async with self._recorded() as conn:
            return await outcomes.release(conn, queue, now=clock.now())

    async def _record_success(
        self, queue: Leased, sent: Sent, now: datetime, *, last: bool
    ) -> bool:
        async with self._recorded() as conn:
            found = await outcomes.note_delivered(conn, queue, sent.attempt, release=last, now=now)
        if found.was_unwell:
            async with self._recorded() as conn:
                await outcomes.make_due(conn, queue.endpoint_id, now=now)
        return found.more or found.was_unwell

    async def _record_failure(self, queue: Leased, head: Head, sent: Sent, now: datetime) -> bool:
        async with self._recorded() as conn:
            following = after_failure(
                await outcomes.health(conn, queue),
                attempts=head.attempts + 1,
                status=sent.answer.status,
                retry_after=sent.answer.retry_after,
                now=now,
                jitter=self._random.random(),
            )
            await outcomes.note_failed(conn, queue, sent.attempt, following, now=now)
        log.info(
            "webhook_failed",
            endpoint=queue.endpoint_id,
            organization_id=queue.organization_id or None,
            event_id=head.event_id,
            attempts=head.attempts + 1,
            status=sent.answer.status,
            reason=sent.attempt.reason,
        )
        return following.due_at is None

    @asynccontextmanager
    async def _recorded(self) -> AsyncIterator[AsyncConnection]:
        async with self._recording, self._engine.begin() as conn:
            yield conn


class _Clock:
    """The database's time: it does not jump with this machine's."""

    def __init__(self, at: datetime, since: float) -> None:
        self._at = at
        self._since = since

    def elapsed(self) -> float:
        return time.monotonic() - self._since

    def now(self) -> datetime:
        return self._at + timedelta(seconds=self.elapsed())


async def _clock(conn: AsyncConnection) -> datetime:
    now: datetime = (await conn.execute(select(func.clock_timestamp()))).scalar_one()
    return now
