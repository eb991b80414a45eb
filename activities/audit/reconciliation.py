"""Steps of the reconciliation that talk to no billing provider: notifies what waits, looks up
unknown messages, records prices, audits the ledger. Never changes money silently.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.passes import Pass
from activities.campaigns.dispatch import Sending
from activities.campaigns.prices import Prices
from activities.carrier.foreign_messages import ForeignMessages
from activities.carrier.parent_funds import ParentFunds
from activities.carrier.segment_differences import SegmentDifferences
from activities.failures import first_line
from activities.notifier import Notifier
from db import alerts
from db.audit import certify, checkpoints, comparisons
from db.campaigns import messages, runs
from db.lifecycle import unnotified
from db.operations import bulk_acts
from db.switching import switches
from domain.alerts import AlertKind
from domain.campaigns.telephony import SentMessage
from domain.campaigns.waits import SILENCE
from providers.twilio import Twilio

log = structlog.get_logger()
LOOKED_UP, AT_ONCE = 12, 4
LONGEST_LOOK_UP = timedelta(seconds=45)
"""One step looks up messages of so many organizations, some at the same time: two minutes and a
quarter at worst.
"""
LONGEST_CHECK = timedelta(minutes=25)
"""Reading the whole ledger takes long. Ends before its activity's timeout."""
EVERYTHING_EVERY = timedelta(days=1)
FAILURES = 3
"""After so many failed notifications in a row, the rest is left to the next step."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    organizations: int = 0
    campaigns: int = 0


class Reconciling:
    def __init__(
        self,
        engine: AsyncEngine,
        twilio: Twilio,
        notifier: Notifier,
        sending: Sending,
        budgets: Budgets,
    ) -> None:
        self._engine = engine
        self._notifier = notifier
        self._sending = sending
        self._budgets = budgets
        self._foreign = ForeignMessages(
            engine, twilio, lambda: budgets.take(Endpoint.TWILIO_MESSAGES)
        )
        self._segments = SegmentDifferences(engine)
        self._prices = Prices(
            engine,
            twilio,
            lambda: budgets.take(Endpoint.TWILIO_MESSAGES),
            also=self._compare_listed,
        )
        self._parent_funds = ParentFunds(
            engine, twilio, lambda: budgets.take(Endpoint.TWILIO_ACCOUNTS)
        )

    async def notify(self, *, everything: bool = False) -> Notified:
        """One step of the relay. Pass `everything` after Temporal was away and may have lost its
        state. One notification that fails does not block the others.

        Raises `RPCError` when Temporal does not answer; what was not notified is due again within
        seconds.
        """
        now = datetime.now(UTC)
        async with self._engine.begin() as conn:
            due = await unnotified.organizations(
                conn, now=now, limit=1000 if everything else 200, everything=everything
            )
        organizations = await _each(due, self._notifier.notify_organization)
        if organizations.failed:
            async with self._engine.begin() as conn:
                await unnotified.notify_soon(conn, organizations.failed, now=now)
        async with self._engine.begin() as conn:
            silent = await runs.mark_silent(conn, before=now - SILENCE, limit=200)
            acting = await bulk_acts.to_notify(conn, now=now)
        campaigns = await _each(silent, lambda run: self._notifier.notify_campaign(*run))
        acts = await _each(acting, self._notifier.notify_bulk_act)
        for problem in (organizations.problem, campaigns.problem, acts.problem):
            if problem is not None:
                raise problem
        return Notified(organizations=len(due), campaigns=len(silent))

    async def notify_waiting(self, at: Pass) -> Pass:
        """Notify every organization and campaign whose pending work was not acknowledged, and those
        with an open top-up from time to time; keep provider switches running.
        """
        now = datetime.now(UTC)
        async with self._engine.connect() as conn:
            switching = await switches.open_ones(conn, limit=1000)
            topping_up = await comparisons.with_open_topups(conn, now=now, limit=1000)
        notified = await self.notify()
        for ids, notify in (
            (switching, self._notifier.ensure_switch),
            (topping_up, self._notifier.notify_organization),
        ):
            attempted = await _each(ids, notify)
            if attempted.problem is not None:
                raise attempted.problem
        number = len(switching) + len(topping_up) + notified.organizations + notified.campaigns
        return at.beyond(None, compared=number).end()

    async def settle_unknown_messages(self, at: Pass) -> Pass:
        """Look up messages sent over a minute ago without a confirmation, of a few organizations."""
        async with self._engine.connect() as conn:
            found = await messages.unsettled_organizations(
                conn,
                before=datetime.now(UTC) - messages.UNSETTLED_AFTER,
                after=at.at or "",
                limit=LOOKED_UP,
            )
        turns = asyncio.Semaphore(AT_ONCE)

        async def look_up(organization_id: str) -> int | Exception:
            async with turns:
                return await self._look_up(organization_id)

        outcomes = await asyncio.gather(*(look_up(organization_id) for organization_id in found))
        settled = [outcome for outcome in outcomes if isinstance(outcome, int)]
        problems = [outcome for outcome in outcomes if isinstance(outcome, ApplicationError)]
        if len(problems) == len(found) >= FAILURES:
            raise problems[0]  # Twilio is down: the rest would only wait
        at = at.beyond(found[-1] if found else None, compared=len(found), differing=sum(settled))
        return at if len(found) == LOOKED_UP else at.end()

    async def record_prices(self, at: Pass) -> Pass:
        """Record the prices that Twilio charged, of a few organizations."""
        following, pages = await self._prices.record(at.at or "", now=datetime.now(UTC))
        at = at.beyond(following, compared=pages)
        return at if following is not None else at.end()

    async def _compare_listed(self, organization_id: str, listed: Sequence[SentMessage]) -> None:
        """What else a list that is read for prices shows."""
        await self._foreign.record(organization_id, listed, now=datetime.now(UTC))
        await self._segments.settle(organization_id, listed)

    async def read_balance(self, at: Pass) -> Pass:
        """Read what the parent accounts have, and how long it lasts."""
        read = await self._parent_funds.read(now=datetime.now(UTC))
        return at.beyond(None, compared=read).end()

    async def audit(self, at: Pass) -> Pass:
        """Run the certification's checks and raise an alert for each failure; repairs nothing."""
        findings = await self._examine()
        failed = [finding for finding in findings if not finding.holds]
        async with self._engine.begin() as conn:
            for guarantee in {finding.guarantee for finding in findings} - {
                finding.guarantee for finding in failed
            }:
                await alerts.clear(conn, alerts.INSTALLATION, AlertKind(f"guarantee_{guarantee}"))
            for finding in failed:
                kind, detail = (
                    AlertKind(f"guarantee_{finding.guarantee}"),
                    f"{finding.check}: {finding.figure}",
                )
                await alerts.raise_(conn, alerts.INSTALLATION, kind, detail)
        for finding in failed:
            log.error(
                "guarantee_broken",
                guarantee=finding.guarantee,
                check=finding.check,
                figure=finding.figure,
            )
        return at.beyond(None, compared=len(findings), differing=len(failed)).end()

    async def _examine(self) -> list[certify.Finding]:
        """What is new; everything once a day, and while a guarantee is broken: what is new does not
        show whether an old row is still wrong.
        """
        async with self._engine.connect() as conn:
            whole = await checkpoints.newest(conn, certify.VERSION, everything=True)
            standing = await alerts.standing(conn, alerts.INSTALLATION)
        broken = any(alert.kind.startswith("guarantee_") for alert in standing)
        if whole is not None and datetime.now(UTC) - whole.since < EVERYTHING_EVERY and not broken:
            findings = await certify.examine_new(self._engine, longest=LONGEST_CHECK)
            if findings is not None:
                return findings
        return await certify.examine(self._engine, longest=LONGEST_CHECK)

    async def _look_up(self, organization_id: str) -> int | Exception:
        """How many messages were decided; one organization's failure does not block the others."""
        await self._budgets.take(Endpoint.TWILIO_MESSAGES)
        try:
            async with asyncio.timeout(LONGEST_LOOK_UP.total_seconds()):
                return await self._sending.resolve(organization_id)
        except (ApplicationError, DBAPIError, TimeoutError) as problem:
            log.warning(
                "message_lookup_failed",
                organization_id=organization_id,
                reason=first_line(problem) or type(problem).__name__,
            )
            return problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted(Generic[T]):
    """`problem` is why nothing, or nothing any more, could be notified."""

    failed: Sequence[T]
    problem: Exception | None


async def _each(items: Sequence[T], notify: Callable[[T], Awaitable[None]]) -> Attempted[T]:
    """Notify each, in any order. Those whose notification fails do not stop the others, unless
    several fail in a row: then Temporal does not answer, and each would wait for its timeout.
    """
    order, failed, in_a_row = random.sample(items, len(items)), list[T](), 0
    problem: Exception | None = None
    for index, item in enumerate(order):
        try:
            await notify(item)
        except (RPCError, RuntimeError) as error:
            failed.append(item)
            in_a_row += 1
            problem = error
            log.warning("notification_failed", item=str(item), reason=first_line(error))
            if in_a_row == FAILURES:
                return Attempted(failed=[*failed, *order[index + 1 :]], problem=error)
        else:
            in_a_row = 0
    return Attempted(failed=failed, problem=problem if len(failed) == len(items) else None)
