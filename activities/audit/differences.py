"""Looks closer at what a list shows differently, and reports what differs: notifies a workflow and
raises an alert, and never changes money.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.service import RPCError

from activities.audit.budgets import Budgets, Endpoint
from activities.failures import first_line, translated
from activities.notifier import Notifier
from db import alerts, locks
from domain.alerts import AlertKind
from domain.billing.comparison import Difference
from providers.errors import ProviderError, ProviderUnavailable

log = structlog.get_logger()
LONGEST = timedelta(seconds=90)
AT_ONCE = 10
FEW = 3
"""So many that do not answer may be themselves the reason, and not their provider."""
MOST_ATTEMPTS = 3
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The organizations that agree, and the number of those that differ; the rest did not answer."""

    agreeing: Sequence[str]
    differing: int


class Differences:
    def __init__(self, engine: AsyncEngine, notifier: Notifier, budgets: Budgets) -> None:
        self._engine = engine
        self._notifier = notifier
        self._budgets = budgets

    async def find(
        self,
        endpoint: Endpoint,
        suspects: Sequence[T],
        look: Callable[[T], Awaitable[Difference | None]],
        organization_of: Callable[[T], str],
    ) -> Compared:
        """Look at each suspect, some at the same time, and report those that differ. One's failure
        does not block the others. For those that there is no time for, the next pass has some.

        Raises retryably when nothing answers: the provider is down, and the rest would only wait.
        """
        agreeing: list[str] = []
        differing, began = 0, time.monotonic()
        shuffled = random.sample(suspects, len(suspects))
        for first in range(0, len(shuffled), AT_ONCE):
            if time.monotonic() - began > LONGEST.total_seconds():
                log.warning("comparison_cut_short", left=len(shuffled) - first)
                break
            some = shuffled[first : first + AT_ONCE]
            await self._budgets.take(endpoint, len(some))
            found = await asyncio.gather(*(_looked(look, suspect) for suspect in some))
            _raise_if_down(found)
            for suspect, outcome in zip(some, found, strict=True):
                organization_id = organization_of(suspect)
                if outcome is None:
                    agreeing.append(organization_id)
                elif isinstance(outcome, Difference):
                    differing += 1
                    await self.report(organization_id, outcome)
                else:
                    log.warning(
                        "comparison_failed",
                        organization_id=organization_id,
                        reason=first_line(outcome),
                    )
        return Compared(agreeing=agreeing, differing=differing)

    async def report(self, organization_id: str, difference: Difference) -> None:
        log.warning(
            "organization_differs", organization_id=organization_id, difference=difference.text
        )
        try:
            if difference.alerts:
                async with self._engine.begin() as conn:
                    await locks.hurry(conn)
                    await alerts.raise_(conn, organization_id, AlertKind.DIFFERS, difference.text)
            await self._notifier.notify_organization(organization_id)
        except (DBAPIError, RPCError, RuntimeError) as problem:  # the next pass reports it again
            log.warning(
                "notification_failed", organization_id=organization_id, reason=first_line(problem)
            )

    async def agree(self, organization_ids: Collection[str], *, with_twilio: bool) -> None:
        """Clear what a comparison with Twilio, or with a billing provider, reported about these
        organizations.
        """
        if organization_ids:
            async with self._engine.begin() as conn:
                await locks.hurry(conn)
                await alerts.clear_each(
                    conn,
                    organization_ids,
                    AlertKind.DIFFERS,
                    naming="Twilio",
                    otherwise=not with_twilio,
                )


async def _looked(
    look: Callable[[T], Awaitable[Difference | None]], suspect: T
) -> Difference | ProviderError | DBAPIError | None:
    try:
        return await look(suspect)
    except (ProviderError, DBAPIError) as problem:
        return problem


def _raise_if_down(found: Sequence[object]) -> None:
    """A single object that never answers must not hold up the rest for ever."""
    silent = [problem for problem in found if isinstance(problem, ProviderUnavailable)]
    if len(silent) < len(found):
        return
    if len(found) >= FEW or activity.info().attempt < MOST_ATTEMPTS:
        with translated():
            raise silent[0]
