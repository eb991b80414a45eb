"""Checks the setup of providers' webhooks: an event that reveals a wrong setting raises one alert."""

import time
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from domain.alerts import AlertKind
from domain.billing.subscription import Provider

log = structlog.get_logger()
AT_MOST_EVERY = timedelta(hours=1)
"""How often a process writes to the alert: thousands of such events must not wait for one row."""


class Setups:
    """The state of one process, which writes to an alert at most once an hour, except to clear an
    alert that it raised.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._written: dict[tuple[AlertKind, bool], float] = {}
        self._raised: set[AlertKind] = set()

    async def note_version(self, provider: Provider, concern: str | None) -> None:
        """`concern` is the wrong setting that an accepted event reveals. The next correct event
        clears the alert.
        """
        await self._note(AlertKind(f"{provider.value}_api_version"), concern, timedelta(0))

    async def note_refused(self, provider: Provider, concern: str | None) -> None:
        """`concern` is why a genuinely signed event was refused; None: an event was accepted. The
        alert clears when none was refused for an hour, since both may arrive in the same period.
        """
        await self._note(AlertKind(f"{provider.value}_webhook_setup"), concern, AT_MOST_EVERY)

    async def _note(self, kind: AlertKind, concern: str | None, unseen_for: timedelta) -> None:
        key, now = (kind, concern is None), time.monotonic()
        is_recent = (
            key in self._written and now - self._written[key] < AT_MOST_EVERY.total_seconds()
        )
        if is_recent and not (concern is None and kind in self._raised and not unseen_for):
            return
        self._written[key] = now
        try:
            async with self._engine.begin() as conn:
                if concern is not None:
                    await alerts.raise_(conn, alerts.INSTALLATION, kind, concern)
                else:
                    await alerts.clear(conn, alerts.INSTALLATION, kind, unseen_for=unseen_for)
        except (SQLAlchemyError, OSError) as problem:
            del self._written[key]
            log.warning(
                "webhook_setup_alert_failed", kind=kind.value, problem=type(problem).__name__
            )
            return
        self._raised.discard(kind)
        if concern is not None:
            self._raised.add(kind)
