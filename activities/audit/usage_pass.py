"""The pass that reads what Twilio charges: the company itself, now and then after a list of all
accounts, and then the subaccounts, until none is due.
"""

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.passes import Pass
from activities.carrier import company_usage
from activities.carrier.company_usage import CompanyUsage
from activities.carrier.usage import TAKEN, UsageReader
from db.carrier import readings
from providers.twilio import Twilio

_LISTING, _COMPANY, _READING = "listing", "company", "reading"


class UsagePass:
    def __init__(self, engine: AsyncEngine, twilio: Twilio, budgets: Budgets) -> None:
        self._engine = engine
        self.reader = UsageReader(
            engine, twilio, lambda parent: budgets.take(Endpoint.TWILIO_USAGE, of=parent)
        )

        self.company = CompanyUsage(
            engine,
            twilio,
            lambda parent: budgets.take(Endpoint.TWILIO_USAGE, of=parent),
            lambda: budgets.take(Endpoint.TWILIO_ACCOUNTS),
        )

    async def step(self, at: Pass) -> Pass:
        now = datetime.now(UTC)
        if not at.phase:
            return await self._begin(at, now)
        if at.phase == _LISTING:
            following = await self.company.list_accounts(at.at, now=now)
            return at.beyond(following) if following is not None else at.enter(_COMPANY)
        if at.phase == _COMPANY:
            number = await self.company.read_due(accounts=at.expected, now=now)
            return at if number == company_usage.TAKEN else at.enter(_READING)
        number, changed = await self.reader.read_due(accounts=at.expected, now=now)
        at = at.beyond(None, compared=number, differing=changed)
        return at if number == TAKEN else at.end()

    async def _begin(self, at: Pass, now: datetime) -> Pass:
        async with self._engine.begin() as conn:
            accounts = await readings.add_new(conn, now=now)
        listing = await self.company.is_to_be_listed(now=now)
        return replace(at.enter(_LISTING if listing else _COMPANY), expected=accounts)
