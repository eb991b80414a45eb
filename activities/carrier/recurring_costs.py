"""Reads what subaccounts cost whether they are used or not: their numbers at Twilio's prices, their
short codes and 10DLC campaigns, and what else recurred in the last month.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import phonenumbers
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import first_line
from db import locks
from db.carrier import recurring
from domain.carrier.recurring import (
    NUMBERS,
    RECORDINGS,
    SHORT_CODES,
    US_CAMPAIGNS,
    CostKind,
    RecurringCost,
    short_code,
    us_campaign,
)
from domain.carrier.recurring import recurring as recurring_of
from domain.money import Money
from providers.errors import NotFound, ProviderError, ProviderRefused
from providers.twilio import Twilio, possessions
from providers.twilio import numbers as at_twilio
from providers.twilio.numbers import Number

log = structlog.get_logger()
ORGANIZATIONS = 20
"""In one pass."""
REST = timedelta(minutes=1)
_FREE = frozenset({"FAILED"})
"""A campaign that the carriers declined costs no monthly fee; one that they still look at will."""


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
        async with self._engine.connect() as conn:
            month = await recurring.month(conn, organization_id, now=now)
            lease = await recurring.lease(conn, organization_id, now=now)
            before = (await recurring.get(conn, organization_id)).costs
        await self._turn()
        numbers = await at_twilio.numbers(self._twilio, account_sid)
        known = await self._price(account_sid, numbers)
        await self._turn()
        codes = await possessions.short_codes(self._twilio, account_sid)
        known += [short_code(each.sid, each.code, len(codes), lease) for each in codes]
        covered = {NUMBERS, SHORT_CODES}
        campaigns = await self._us_campaigns(account_sid, before)
        if campaigns is not None:
            known += campaigns
            covered.add(US_CAMPAIGNS)
        if any(category == RECORDINGS for category, _ in month):
            await self._turn()
            stored = await possessions.has_recordings(self._twilio, account_sid)
            covered |= set() if stored else {RECORDINGS}
        async with self._engine.begin() as conn:
            await locks.hurry(conn)
            costs = recurring_of(known, month, covered)
            await recurring.record(conn, organization_id, costs, now=now)

    async def _us_campaigns(
        self, account_sid: str, before: Sequence[RecurringCost]
    ) -> list[RecurringCost] | None:
        """Those of a suspended subaccount are as they were read last; None: they were never read."""
        await self._turn()
        try:
            found = await possessions.us_campaigns(self._twilio, account_sid, self._turn)
        except ProviderRefused as refusal:
            log.info("us_campaigns_not_read", account_sid=account_sid, reason=first_line(refusal))
            return [cost for cost in before if cost.kind is CostKind.US_CAMPAIGN] or None
        return [us_campaign(each.sid, each.usecase) for each in found if each.status not in _FREE]

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
