"""Listing: what each provider says has happened, compared with what was delivered; what is missing is taken in.

It goes the way of a delivery: stored, folded (which may only close), and decided by a fresh GET.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.service import RPCError

from activities.doorbell import Doorbell
from db import folding, inbox, listings
from domain.events import EventKind
from domain.subscription import Provider
from providers.billing import BillingProvider, Listed
from providers.errors import ProviderError

log = structlog.get_logger()
AT_FIRST = timedelta(days=3)
"""So long providers try to deliver: what is older was given up."""
KEPT = timedelta(days=30)
"""Longer than that no provider lists an event."""
OVERLAP = timedelta(minutes=5)
"""Events show up in a list a little late."""
TOGETHER = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Events younger than `seconds` are left alone: their delivery is on its way."""

    seconds: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Of one provider, between two times. `problem`: it could not be listed to the end, and will be anew."""

    provider: str
    since: datetime
    until: datetime
    listed: int = 0
    missed: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    problem: str = ""


class Listing:
    def __init__(self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider], doorbell: Doorbell) -> None:
        self._engine = engine
        self._providers = providers
        self._doorbell = doorbell

    @activity.defn(name="take_in_missed_events")
    async def take_in_missed_events(self, asked: Settled) -> list[Tally]:
        """Compare since the last time. One provider's failure does not hold up another's."""
        return [await self.compare(provider, asked) for provider in self._providers]

    async def compare(self, provider: Provider, asked: Settled) -> Tally:
        until = datetime.now(UTC) - timedelta(seconds=asked.seconds)
        async with self._engine.connect() as conn:
            before = await listings.listed_until(conn, provider)
        since = before or until - AT_FIRST
        until = max(since, until)  # somebody may have asked with less patience, just now
        tally = Tally(provider=provider.value, since=max(since, until - KEPT), until=until)
        try:
            listed, missing = await self._missing(provider, tally)
        except ProviderError as problem:
            log.warning("events_not_listed", provider=provider.value, reason=str(problem))
            return replace(tally, problem=str(problem))
        for one in sorted(missing, key=lambda each: each.event.occurred_at or until):
            await self._take_in(one)
        async with self._engine.begin() as conn:
            came = await listings.arrivals(conn, provider, tally.since, until)
            found = replace(came, missed=len(missing))
            await listings.advance(conn, provider, found, before=before, until=until)
        return replace(tally, listed=listed, **asdict(found))

    async def _missing(self, provider: Provider, tally: Tally) -> tuple[int, list[Listed]]:
        """Those that tell us something and are not in the inbox; of each event once."""
        number, missing, some = 0, dict[str, Listed](), dict[str, Listed]()
        async for one in self._providers[provider].list_events(tally.since - OVERLAP, tally.until):
            if one.event.kind is EventKind.IGNORED:
                continue  # nobody asked for its delivery, maybe
            number += 1
            some[one.event.event_id] = one
            if len(some) == TOGETHER:
                missing |= await self._unknown(provider, some)
                some = {}
        return number, list((missing | await self._unknown(provider, some)).values())

    async def _unknown(self, provider: Provider, some: Mapping[str, Listed]) -> dict[str, Listed]:
        async with self._engine.connect() as conn:
            here = await listings.known(conn, provider, [one.event for one in some.values()])
        return {id_: one for id_, one in some.items() if id_ not in here}

    async def _take_in(self, listed: Listed) -> None:
        event = replace(listed.event, transmission_id=f"{inbox.LISTED}{listed.event.event_id}")
        async with self._engine.begin() as conn:
            received = await folding.receive(conn, event, listed.raw, {}, now=datetime.now(UTC))
        organization_id = received.delivery.organization_id
        log.warning(
            "event_was_missed", event_id=event.event_id, event_type=event.event_type, organization_id=organization_id
        )
        if organization_id is None:
            return
        try:
            await self._doorbell.ring_organization(organization_id)
        except (RPCError, RuntimeError) as problem:
            log.warning("not_rung", organization_id=organization_id, reason=str(problem))  # the relay will
