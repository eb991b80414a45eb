"""The pass that reads what Twilio charges: until no subaccount is due."""

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.passes import Pass
from activities.carrier.usage import TAKEN, UsageReader
from db.carrier import readings
from providers.twilio import Twilio

_READING = "reading"


class UsagePass:
    def __init__(self, engine: AsyncEngine, twilio: Twilio, budgets: Budgets) -> None:
        self._engine = engine
        self.reader = UsageReader(
            engine, twilio, lambda parent: budgets.take(Endpoint.TWILIO_USAGE, of=parent)
        )

    async def step(self, at: Pass) -> Pass:
        now = datetime.now(UTC)
        if at.phase != _READING:
            async with self._engine.begin() as conn:
                accounts = await readings.add_new(conn, now=now)
            at = replace(at.enter(_READING), expected=accounts)
        number, changed = await self.reader.read_due(accounts=at.expected, now=now)
        at = at.beyond(None, compared=number, differing=changed)
        return at if number == TAKEN else at.end()
