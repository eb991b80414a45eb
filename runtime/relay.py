"""The relay: notifies workflows of pending work, and maintains Temporal's setup."""

import time
from datetime import timedelta

from runtime import schedules, search_attributes
from runtime.temporal_refusals import serves
from runtime.wiring import Services

EVERY = timedelta(seconds=1)
HEALTH_TIMEOUT = timedelta(seconds=3)
SETUP_EVERY = timedelta(hours=1)
SETUP_AGAIN = timedelta(seconds=10)
"""At the soonest: after a failure Temporal may have come back without its database."""


class Relay:
    """Notifies every second. A setup that fails delays no notification."""

    def __init__(self, services: Services) -> None:
        self._client = services.client
        self._task_queue = services.settings.lifecycle_task_queue
        self._reconciling = services.reconciling
        self._setup_due = self._setup_possible = 0.0
        self._was_away = True

    async def step(self) -> float:
        was_away, self._was_away = self._was_away, True  # until this step is done
        await serves(self._client, HEALTH_TIMEOUT)
        try:
            await self._set_up(now=time.monotonic(), was_away=was_away)
        finally:
            await self._reconciling.notify(everything=was_away)
            self._was_away = False
        return EVERY.total_seconds()

    async def _set_up(self, *, now: float, was_away: bool) -> None:
        if was_away:
            self._setup_due = min(self._setup_due, self._setup_possible)
        if now < self._setup_due:
            return
        self._setup_due = self._setup_possible = now + SETUP_AGAIN.total_seconds()
        await search_attributes.register(self._client)
        await schedules.ensure(self._client, self._task_queue)
        self._setup_due = now + SETUP_EVERY.total_seconds()
