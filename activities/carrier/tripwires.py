"""Usage triggers of subaccounts: made, compared and replaced, and looked at when they fire.

One that fires moves no money and blocks nobody by itself: what the subaccount did is read and
charged at once, and what the wallet cannot pay for blocks. Losing a trigger loses minutes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.service import RPCError

from activities.carrier.foreign_messages import ForeignMessages
from activities.carrier.usage import UsageReader
from activities.failures import attempt_each, first_line, translated_forever
from activities.notifier import Notifier
from db.carrier import message_readings, tripwires, usage
from db.carrier.tripwires import Tripwire
from domain.carrier.tripwire import DAYS, Trigger, compare, wanted
from providers.errors import NotFound, ProviderError
from providers.twilio import Twilio
from providers.twilio.triggers import usage_callback_url

log = structlog.get_logger()
ORGANIZATIONS, AT_ONCE = 24, 4
PENDING = 100
LOOKS = 5
"""A trigger that fires again while it is looked at is looked at again, up to so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Where a pass continues, and what the step did."""

    after: str | None
    compared: int = 0
    changed: int = 0


class Tripwires:
    """`turn` waits for the turn of one call of the budget that all workers share."""

    def __init__(
        self,
        engine: AsyncEngine,
        twilio: Twilio,
        notifier: Notifier,
        foreign: ForeignMessages,
        usage_reader: UsageReader,
        *,
        public_url: str,
        turn: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._notifier = notifier
        self.foreign = foreign
        self._usage = usage_reader
        self._url = usage_callback_url(public_url)
        self._turn = turn

    @activity.defn(name="look_at_usage")
    async def look(self, organization_id: str) -> int:
        """Read what the subaccount did, and charge it; returns how many foreign messages are new.
        Safe to repeat.
        """
        found = 0
        for _ in range(LOOKS):
            began = datetime.now(UTC)
            with translated_forever():
                found += await self._look(organization_id, began)
            async with self._engine.connect() as conn:
                tripwire = await tripwires.get(conn, organization_id)
            if tripwire is None or tripwire.fired_at is None or tripwire.fired_at <= began:
                break
        return found

    async def compare(self, after: str, *, now: datetime) -> Compared:
        """Compare the triggers of the next organizations with those at Twilio, and repair what
        differs. One's failure is left to the next pass; raises retryably if Twilio answers nothing.
        """
        if not after:
            await self._notify_pending()
        async with self._engine.connect() as conn:
            due, following = await tripwires.due(conn, after=after, now=now, limit=ORGANIZATIONS)
        outcomes = await attempt_each(
            due, lambda tripwire: self._try(tripwire, now), at_once=AT_ONCE
        )
        changed = [outcome for outcome in outcomes if isinstance(outcome, bool)]
        return Compared(after=following, compared=len(changed), changed=sum(changed))

    async def _look(self, organization_id: str, began: datetime) -> int:
        async with self._engine.connect() as conn:
            due = await message_readings.of_organization(conn, organization_id)
            tripwire = await tripwires.get(conn, organization_id)
        if due is None or tripwire is None:
            return 0
        found = (await self.foreign.read(due, now=began)).found
        reading = await self._usage.look(organization_id, now=began)
        await self._turn()
        triggers = await (await self._twilio.triggers_of(tripwire.account_sid)).list()
        current = max((trigger.current_micros for trigger in triggers), default=0)
        async with self._engine.begin() as conn:
            await tripwires.note_looked(conn, organization_id, current, now=began)
            tripwire = await tripwires.get(conn, organization_id)
        log.info(
            "tripwire_looked_at",
            organization_id=organization_id,
            current_micros=current,
            foreign_messages=found,
            moved_micros=reading.moved_micros,
        )
        if tripwire is not None:
            await self.repair(tripwire, now=began)
        return found

    async def _try(self, tripwire: Tripwire, now: datetime) -> bool | ProviderError | DBAPIError:
        try:
            return await self.repair(tripwire, now=now)
        except NotFound:  # its subaccount is not at Twilio, which another comparison reports
            async with self._engine.begin() as conn:
                await tripwires.note_compared(conn, tripwire.organization_id, None, None, now=now)
            return False
        except (ProviderError, DBAPIError) as problem:
            log.warning(
                "tripwire_failed",
                organization_id=tripwire.organization_id,
                reason=first_line(problem),
            )
            return problem

    async def repair(self, tripwire: Tripwire, *, now: datetime) -> bool:
        """Make the trigger that is wanted, before others of ours are deleted; returns whether
        anything differed. Raises `ProviderError`.
        """
        async with self._engine.connect() as conn:
            totals = await usage.totals(conn, tripwire.organization_id, since=(now - DAYS).date())
        days = [each.price_micros or 0 for day, each in totals.items() if day < now.date()]
        value = wanted(tripwire.set_micros, days, tripwire.fired_micros(now))
        triggers = await self._twilio.triggers_of(tripwire.account_sid)
        await self._turn()
        repair = compare(
            await triggers.list(), value, self._url, exact=tripwire.set_micros is not None
        )
        kept: Trigger | None = repair.kept
        if kept is None:
            await self._turn()
            kept = await triggers.create(value, self._url)
        for trigger in repair.extra:
            await self._turn()
            await triggers.delete(trigger.sid)
        async with self._engine.begin() as conn:
            await tripwires.note_compared(
                conn, tripwire.organization_id, kept.sid, kept.value_micros, now=now
            )
        changed = repair.kept is None or bool(repair.extra)
        if changed:
            log.info(
                "tripwire_repaired",
                organization_id=tripwire.organization_id,
                value_micros=kept.value_micros,
            )
        return changed

    async def _notify_pending(self) -> None:
        """Those that fired, and whose look was lost."""
        async with self._engine.connect() as conn:
            pending = await tripwires.pending(conn, limit=PENDING)
        for organization_id in pending:
            try:
                await self._notifier.notify_usage(organization_id)
            except (RPCError, RuntimeError) as problem:  # the next pass tries again
                log.warning(
                    "notification_failed",
                    organization_id=organization_id,
                    reason=first_line(problem),
                )
                return
