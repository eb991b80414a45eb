"""Reads subaccounts back while their suspension is young: who reactivated one past Tollgate has
minutes, not a quarter of an hour.
"""

import asyncio
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.differences import Differences
from activities.audit.twilio_comparison import TwilioComparison
from activities.failures import first_line
from db.lifecycle import organizations, read_backs
from db.pipeline import reading
from providers.errors import ProviderError

log = structlog.get_logger()
AT_ONCE = 10
EVERY = 5.0


class ReadBacks:
    def __init__(
        self,
        engine: AsyncEngine,
        comparison: TwilioComparison,
        differences: Differences,
        budgets: Budgets,
    ) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._comparison = comparison
        self._differences = differences
        self._budgets = budgets

    async def step(self) -> float:
        """One step of the worker's loop; returns its rest in seconds."""
        due = await self.read_back(now=datetime.now(UTC))
        return 0.0 if due == AT_ONCE else EVERY

    async def read_back(self, *, now: datetime) -> int:
        """Read the subaccounts that are due, a few at once; one that is active is suspended again.
        Returns how many were due. What Twilio does not answer is due again within minutes.
        """
        async with self._engine.begin() as conn:
            due = await read_backs.take(conn, now=now, limit=AT_ONCE)
        if due:
            await self._budgets.take(Endpoint.TWILIO_ACCOUNTS, len(due))
            await asyncio.gather(*(self._look(organization_id) for organization_id in due))
        return len(due)

    async def _look(self, organization_id: str) -> None:
        async with self._reading.connect() as conn:
            organization = await organizations.get(conn, organization_id)
        if organization is None:
            return
        try:
            difference = await self._comparison.difference(organization)
        except ProviderError as problem:
            log.warning(
                "read_back_failed", organization_id=organization_id, reason=first_line(problem)
            )
            return
        if difference is not None:
            await self._differences.report(organization_id, difference)
