"""Reads what subaccounts cost whether they are used or not: their numbers at Twilio's prices, and
what recurred in the last month.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import phonenumbers
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import first_line
from db import locks
from db.carrier import recurring
from domain.carrier.recurring import CostKind, RecurringCost
from domain.carrier.recurring import recurring as recurring_of
from domain.money import Money
from providers.errors import NotFound, ProviderError
from providers.twilio import Twilio
from providers.twilio import numbers as at_twilio
from providers.twilio.numbers import Number

log = structlog.get_logger()
ORGANIZATIONS = 20
"""In one pass."""
REST = timedelta(minutes=1)


class RecurringCosts:
    """`turn` waits for the turn of one call of the budget that all workers share."""

    def __init__(
        self, engine: AsyncEngine, twilio: Twilio, turn: Callable[[], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._turn = turn

    async def step(self) -> float:
        """Read those that are due; the rest until the next step, in seconds."""
        taken = await self.read_due(now=datetime.now(UTC))
        return 0.0 if taken == ORGANIZATIONS else REST.total_seconds()

    async def read_due(self, *, now: datetime) -> int:
        """What cannot be read is due again soon."""
        async with self._engine.begin() as conn:
            due = await recurring.take_due(conn, now=now, limit=ORGANIZATIONS)
        for organization_id, account_sid in due:
            try:
                await self.read(organization_id, account_sid, now=now)
            except ProviderError as problem:
                log.warning(
                    "recurring_costs_not_read",
                    organization_id=organization_id,
                    reason=first_line(problem),
                )
        return len(due)

    async def read(self, organization_id: str, account_sid: str, *, now: datetime) -> None:
        """Read one subaccount, record what it costs, and keep its reserve."""
        await self._turn()
        numbers = await at_twilio.numbers(self._twilio, account_sid)
        priced = await self._price(account_sid, numbers)
        async with self._engine.begin() as conn:
            await locks.hurry(conn)
            month = await recurring.month(conn, organization_id, now=now)
            await recurring.record(conn, organization_id, recurring_of(priced, month), now=now)

    async def _price(self, account_sid: str, numbers: Sequence[Number]) -> list[RecurringCost]:
        prices: dict[str, dict[str, Money]] = {}
        costs = []
        for number in numbers:
            country = _country(number.number)
            if country not in prices:
                await self._turn()
                prices[country] = await self._prices(account_sid, country)
            price = prices[country].get(number.kind)
            if price is None:  # the dearest of the country, rather than nothing
                price = max(prices[country].values(), default=None)
            if price is None:
                log.warning("number_without_price", account_sid=account_sid, country=country)
                continue
            costs.append(
                RecurringCost(
                    kind=CostKind.NUMBER,
                    reference=number.sid,
                    name=f"{number.number} ({number.kind})",
                    monthly_micros=price.micros,
                    currency=price.currency,
                    answers=bool(number.webhooks),
                )
            )
        return costs

    async def _prices(self, account_sid: str, country: str) -> dict[str, Money]:
        try:
            return await at_twilio.monthly_prices(self._twilio, account_sid, country)
        except NotFound:
            return {}


def _country(number: str) -> str:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.region_code_for_number(parsed) or ""
