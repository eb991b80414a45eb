"""Reads from Twilio what it charges, subaccount by subaccount, and charges it.

One request has a subaccount's totals of all days that may still change; only a day whose total
differs from the recorded one is read in full. A day is recorded and charged in one transaction.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import attempt_each, first_line
from db import alerts, locks
from db.billing.receivables import NotBooked
from db.campaigns import prices
from db.carrier import charges, company, foreign_charges, readings, usage
from db.carrier.readings import Due
from db.lifecycle import standings
from db.recovery import fences
from domain.alerts import AlertKind
from domain.carrier.categories import TOTAL
from domain.carrier.usage import COMPARED_EVERY, WINDOW, UsageRecord, differ, next_reading
from providers.errors import ProviderError
from providers.twilio import Twilio

log = structlog.get_logger()
AT_ONCE, TAKEN = 4, 20
"""One step reads so many subaccounts, some at the same time."""
LONGEST = timedelta(seconds=40)
AGAIN_AFTER = timedelta(minutes=10)
"""A reading that failed is repeated after this, at first."""
ALERT_AFTER = 3
UNSETTLED = timedelta(days=4)
"""Prices of our own messages arrive within this, so their days are settled again meanwhile."""
LISTED_WITHIN = timedelta(minutes=15)
"""A pass that reads lists of messages notes when it began, and ends within this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What reading one subaccount found: how many records differed, and what was charged."""

    calls: int = 0
    changed: int = 0
    moved_micros: int = 0
    as_of: datetime | None = None
    compared: bool = False
    """The sums of all days were, category by category."""


class UsageReader:
    """`turn` waits for the turn of one call of the budget that all workers share, of a parent
    account.
    """

    def __init__(
        self, engine: AsyncEngine, twilio: Twilio, turn: Callable[[str], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._turn = turn

    async def read_due(self, *, accounts: int, now: datetime) -> tuple[int, int]:
        """Read the subaccounts that are due, up to `TAKEN`; returns how many there were and how
        many of them differed.

        What cannot be read now is due again later; raises retryably if Twilio answers nothing.
        """
        async with self._engine.begin() as conn:
            if await fences.current(conn) is not None:
                return 0, 0  # the database may have forgotten what it sent
            due = await readings.take(conn, now=now, limit=TAKEN)
        outcomes = await attempt_each(
            due, lambda each: self._try(each, accounts, now), at_once=AT_ONCE
        )
        found = [outcome for outcome in outcomes if isinstance(outcome, Reading)]
        return len(due), sum(1 for reading in found if reading.changed)

    async def read(self, due: Due, *, accounts: int, now: datetime) -> Reading:
        """Read one subaccount now, and charge what it shows. Raises `ProviderError`."""
        parent = await self._twilio.parent_of(due.account_sid)
        first = (now - WINDOW).date()
        since = max(first, due.charged_from)
        listed = await self._list(parent, due.account_sid, first, now.date(), category=TOTAL)
        await self._absorb([each for each in listed if each.day < since], due, first)
        totals = [each for each in listed if each.day >= since]
        as_of = max((each.as_of for each in totals if each.as_of is not None), default=None)
        if due.as_of is not None and as_of is not None and as_of < due.as_of:
            totals = []  # an answer from before the last one
        async with self._engine.connect() as conn:
            recorded = await usage.totals(conn, due.organization_id, since=since)
        differing = [each.day for each in totals if not _same(each, recorded.get(each.day))]
        if totals:  # a day that is no longer listed costs nothing
            gone = recorded.keys() - {each.day for each in totals}
            differing += sorted(day for day in gone if not recorded[day].empty)
        reading = Reading(calls=1, as_of=as_of)
        for day in differing:
            records = await self._list(parent, due.account_sid, day, day)
            reading = await self._record(due.organization_id, day, records, reading, now)
        if totals and _long_ago(due.compared_at, now):
            reading = await self._compare(parent, due, since, {*recorded, *differing}, reading, now)
        unsettled = await self._unsettled(due, recorded, reading, now)
        for day in sorted(unsettled.difference(differing)):
            reading = await self._record(due.organization_id, day, None, reading, now)
        return await self._note(due, reading, accounts, now)

    async def _compare(
        self,
        parent: str,
        due: Due,
        since: date,
        days: Collection[date],
        reading: Reading,
        now: datetime,
    ) -> Reading:
        """Compare the sums of all days that are over, category by category, and read the days again
        if one differs: what Twilio moves between categories changes no day's total.
        """
        reading = replace(reading, compared=True)
        last = now.date() - timedelta(days=1)
        async with self._engine.connect() as conn:
            recorded = await usage.sums(conn, due.organization_id, since, last)
        if not recorded:
            return reading
        listed = await self._list(parent, due.account_sid, since, last, together=True)
        reading = replace(reading, calls=reading.calls + 1)
        if not differ(listed, recorded):
            return reading
        by_day: dict[date, list[UsageRecord]] = {day: [] for day in days if day <= last}
        for each in await self._list(parent, due.account_sid, since, last):
            by_day.setdefault(each.day, []).append(each)
        for day in sorted(by_day):
            reading = await self._record(due.organization_id, day, by_day[day], reading, now)
        return reading

    async def _unsettled(
        self, due: Due, recorded: Collection[date], reading: Reading, now: datetime
    ) -> set[date]:
        """Days whose usage is as it was, and which something else may have changed: a price of own
        messages, an exchange rate, that the usage is complete. Once a day, all that are young.
        """
        id_ = due.organization_id
        async with self._engine.connect() as conn:
            days = {*await charges.with_problems(conn, id_, since=(now - WINDOW).date())}
            days |= {*await foreign_charges.open_days(conn, id_, as_of=reading.as_of)}
            if due.read_at is None or reading.compared:
                days |= {day for day in recorded if now.date() - day <= UNSETTLED}
            else:
                listed = await prices.days_listed(conn, id_, since=due.read_at - LISTED_WITHIN)
                days |= {day + timedelta(days=n) for day in listed for n in (0, 1)}
        return {day for day in days if day in recorded}

    async def _absorb(self, totals: Sequence[UsageRecord], due: Due, first: date) -> None:
        """What its subaccount cost before the organization was charged is the company's."""
        if totals:
            async with self._engine.begin() as conn:
                await company.record(conn, due.account_sid, totals, since=first)

    async def look(self, organization_id: str, *, now: datetime) -> Reading:
        """Read one organization's subaccount now, whether it is due or not, unless another worker
        does. Raises `ProviderError`.
        """
        async with self._engine.begin() as conn:
            accounts = await readings.add_one(conn, organization_id, now=now)
            due = await readings.take_one(conn, organization_id, now=now)
        return Reading() if due is None else await self.read(due, accounts=accounts, now=now)

    async def _list(
        self,
        parent: str,
        account_sid: str,
        first: date,
        last: date,
        *,
        category: str | None = None,
        together: bool = False,
    ) -> list[UsageRecord]:
        """All pages, or none: half a day would look like a correction."""
        daily = await self._twilio.usage_of(account_sid)
        records: list[UsageRecord] = []
        following: str | None = None
        while True:
            await self._turn(parent)
            page = await daily.list(
                first, last, category=category, together=together, page=following
            )
            records += page.records
            following = page.next
            if following is None:
                break
        return [each for each in records if first <= each.day <= last]

    async def _record(
        self,
        organization_id: str,
        day: date,
        records: list[UsageRecord] | None,
        reading: Reading,
        now: datetime,
    ) -> Reading:
        """Record the day, unless nothing was read of it, and charge it."""
        changed = 0
        async with self._engine.begin() as conn:
            own = await charges.own_messages(conn, organization_id, day, records)
            await locks.hurry(conn)
            await standings.lock(conn, organization_id)
            if records is not None:
                by_category = {each.category: each for each in records}
                changed = await usage.record(conn, organization_id, day, by_category.values())
            settled = await charges.settle(conn, organization_id, day, now=now, own=own)
            returned = await foreign_charges.give_back(
                conn,
                organization_id,
                day,
                as_of=reading.as_of,
                now=now,
                charged_micros=settled.moved_micros,
            )
        return replace(
            reading,
            calls=reading.calls + (records is not None),
            changed=reading.changed + changed,
            moved_micros=reading.moved_micros + settled.moved_micros - returned,
        )

    async def _note(self, due: Due, reading: Reading, accounts: int, now: datetime) -> Reading:
        changed_at = now if reading.changed else due.changed_at or now
        async with self._engine.begin() as conn:
            await readings.note(
                conn,
                due.organization_id,
                now=now,
                due_at=next_reading(now, changed_at, accounts, suspended=due.suspended),
                as_of=reading.as_of,
                changed=reading.changed > 0,
                compared=reading.compared,
            )
            await alerts.clear(conn, due.organization_id, AlertKind.CARRIER_NOT_READ)
        if reading.changed:
            log.info(
                "usage_read",
                organization_id=due.organization_id,
                calls=reading.calls,
                changed=reading.changed,
                moved_micros=reading.moved_micros,
            )
        return reading

    async def _try(self, due: Due, accounts: int, now: datetime) -> Reading | Exception:
        """One subaccount's failure does not keep the others from being read."""
        try:
            async with asyncio.timeout(LONGEST.total_seconds()):
                return await self.read(due, accounts=accounts, now=now)
        except (ProviderError, DBAPIError, NotBooked, TimeoutError) as problem:
            reason = first_line(problem) or "it took too long"
            log.warning("usage_query_failed", organization_id=due.organization_id, reason=reason)
            async with self._engine.begin() as conn:
                failures = await readings.note_failure(
                    conn, due.organization_id, due_at=now + AGAIN_AFTER
                )
                if failures == ALERT_AFTER:
                    await alerts.raise_(
                        conn, due.organization_id, AlertKind.CARRIER_NOT_READ, reason
                    )
            return problem


def _long_ago(compared_at: datetime | None, now: datetime) -> bool:
    return compared_at is None or now - compared_at >= COMPARED_EVERY


def _same(listed: UsageRecord, recorded: UsageRecord | None) -> bool:
    if recorded is None:
        return listed.empty
    return (listed.price_micros, listed.currency) == (recorded.price_micros, recorded.currency)
