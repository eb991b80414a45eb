"""Compares each provider's list of events with the received deliveries, and processes the missing
ones.

A missing event is handled like a delivery: stored, applied (which may only close), then decided by
a fresh GET.

Oldest first, in slices of time of at most a few thousand events. Each slice is committed when done,
so that an interrupted run leaves less to the next.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.service import RPCError

from activities.notifier import Notifier
from db import alerts, locks
from db.inbox import deliveries, listed_events, state_updates
from domain.alerts import AlertKind
from domain.billing.events import EventKind
from domain.billing.subscription import Provider
from providers.billing import BillingProvider, Listed
from providers.errors import ProviderError

log = structlog.get_logger()
AT_FIRST = timedelta(days=3)
"""How long providers retry a delivery: older events were given up."""
KEPT = timedelta(days=30)
"""How far back any provider lists events."""
OVERLAP = timedelta(minutes=5)
"""Events appear in a list with a short delay."""
TOGETHER = 200
MOST_IN_SLICE = 2_000
SHORTEST_SLICE = timedelta(minutes=1)
"""A slice of this length is listed completely, however large it is."""
LONGEST_RUN = timedelta(minutes=2)
"""After this a run begins no further slice; a slice, of a few dozen pages, may take as long again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Events younger than `seconds` are skipped: their delivery is still under way."""

    seconds: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One provider's figures between two times. `problem`: listing failed; it continues from
    `until`. `behind`: time ran out before the end; the next run continues there.
    """

    provider: str
    since: datetime
    until: datetime
    listed: int = 0
    missed: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    problem: str = ""
    behind: bool = False

    def followed_by(self, later: "Tally") -> "Tally":
        """The sum of both."""
        return replace(
            later,
            since=self.since,
            listed=self.listed + later.listed,
            missed=self.missed + later.missed,
            duplicates=self.duplicates + later.duplicates,
            out_of_order=self.out_of_order + later.out_of_order,
        )


class EventBackfill:
    def __init__(
        self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider], notifier: Notifier
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._notifier = notifier

    @activity.defn(name="take_in_missed_events")
    async def take_in_missed_events(self, request: Settled) -> list[Tally]:
        """Compare from the last run on, all providers at the same time. One provider's failure does
        not block the others.
        """
        tallies = await asyncio.gather(
            *(self.compare(name, request, longest=LONGEST_RUN) for name in self._providers),
            return_exceptions=True,
        )
        for tally in tallies:
            if isinstance(tally, BaseException):
                raise tally
        return [tally for tally in tallies if isinstance(tally, Tally)]

    async def compare(
        self,
        provider: Provider,
        request: Settled,
        *,
        longest: timedelta | None = None,
        since: datetime | None = None,
    ) -> Tally:
        """Compare from the last run's end until now, or from `since` if that is earlier; with
        `longest`, at least one slice and then as many as time allows.
        """
        until, began = datetime.now(UTC) - timedelta(seconds=request.seconds), time.monotonic()
        async with self._engine.connect() as conn:
            before = await listed_events.listed_until(conn, provider)
        since = max(min(since or until, before or until - AT_FIRST), until - KEPT)
        until = max(since, until)  # a run with a smaller `seconds` may have just finished
        tally = Tally(provider=provider.value, since=since, until=since)
        end = until
        while True:
            try:
                found = await self._compare_slice(provider, tally, before, end)
            except ProviderError as problem:
                log.warning("event_listing_failed", provider=provider.value, reason=str(problem))
                return replace(tally, problem=str(problem))
            if found is None:
                end = tally.until + (end - tally.until) / 2
                continue
            length, before, tally = end - tally.until, end, tally.followed_by(found)
            if end >= until:
                await self._note_missed(provider, tally)
                return tally
            if longest is not None and time.monotonic() - began > longest.total_seconds():
                await self._note_missed(provider, tally)
                return replace(tally, behind=True)
            end = min(until, end + 2 * length)

    async def _compare_slice(
        self, provider: Provider, tally: Tally, before: datetime | None, end: datetime
    ) -> Tally | None:
        """Compare the slice after the tally's end; None if it holds too many events."""
        start = tally.until
        overlap = OVERLAP if start == tally.since else timedelta(0)
        most = MOST_IN_SLICE if end - start > SHORTEST_SLICE else None
        listed = await self._missing(provider, start - overlap, end, most)
        if listed is None:
            return None
        number, missing = listed
        lock_problem: DBAPIError | None = None
        for listed_event in sorted(missing, key=lambda each: each.event.occurred_at or end):
            try:
                await self._take_in(listed_event)
            except DBAPIError as problem:  # this organization is locked: continue with the others
                if not locks.were_held(problem):
                    raise
                lock_problem = problem
        if lock_problem is not None:
            raise lock_problem
        async with self._engine.begin() as conn:
            late = await listed_events.out_of_order(conn, provider, start, end)
            found = await listed_events.advance(
                conn, provider, missed=len(missing), out_of_order=late, before=before, until=end
            )
        return Tally(
            provider=provider.value, since=start, until=end, listed=number, **asdict(found)
        )

    async def _missing(
        self, provider: Provider, start: datetime, end: datetime, most: int | None
    ) -> tuple[int, list[Listed]] | None:
        """Relevant events that are not in the inbox, each once; None if more than `most` are
        listed.
        """
        seen, number, missing, some = 0, 0, dict[str, Listed](), dict[str, Listed]()
        async with aclosing(self._providers[provider].list_events(start, end)) as events:
            async for listed in events:
                seen += 1
                if most is not None and seen > most:
                    return None
                if listed.event.kind is EventKind.IGNORED:
                    continue  # we may not subscribe to it
                number += 1
                some[listed.event.event_id] = listed
                if len(some) == TOGETHER:
                    missing |= await self._unknown(provider, some)
                    some = {}
        return number, list((missing | await self._unknown(provider, some)).values())

    async def _unknown(self, provider: Provider, some: Mapping[str, Listed]) -> dict[str, Listed]:
        async with self._engine.connect() as conn:
            stored = await listed_events.stored(
                conn, provider, [listed.event for listed in some.values()]
            )
        return {id_: listed for id_, listed in some.items() if id_ not in stored}

    async def _note_missed(self, provider: Provider, tally: Tally) -> None:
        """Alert on missing deliveries: the webhook's id, secret, address or event types may be
        wrong.
        """
        kind = AlertKind(f"{provider.value}_events_missed")
        async with self._engine.begin() as conn:
            if tally.missed:
                detail = (
                    f"{tally.missed} listed events were never delivered: check {provider.value}'s "
                    "webhook"
                )
                await alerts.raise_(conn, alerts.INSTALLATION, kind, detail)
            elif tally.listed:
                await alerts.clear(conn, alerts.INSTALLATION, kind)

    async def _take_in(self, listed: Listed) -> None:
        event = replace(listed.event, transmission_id=f"{deliveries.LISTED}{listed.event.event_id}")
        async with self._engine.begin() as conn:
            await locks.hurry(conn)
            received = await state_updates.receive(
                conn, event, listed.raw, {}, now=datetime.now(UTC)
            )
        organization_id = received.delivery.organization_id
        log.warning(
            "event_missed",
            event_id=event.event_id,
            event_type=event.event_type,
            organization_id=organization_id,
        )
        if organization_id is None:
            return
        try:
            await self._notifier.notify_organization(organization_id)
        except (RPCError, RuntimeError) as problem:
            # the relay notifies it later
            log.warning("notification_failed", organization_id=organization_id, reason=str(problem))
