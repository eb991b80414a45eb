"""The pass that reads Twilio's price list, and compares rates and organizations' prices with it."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.passes import Pass
from activities.carrier.country_prices import CountryPrices
from providers.twilio import Twilio

_ORGANIZATIONS = "organizations"


class RatesPass:
    def __init__(self, engine: AsyncEngine, twilio: Twilio, budgets: Budgets) -> None:
        self._prices = CountryPrices(engine, twilio, lambda: budgets.take(Endpoint.TWILIO_ACCOUNTS))

    async def step(self, at: Pass) -> Pass:
        if at.phase != _ORGANIZATIONS:
            following = await self._prices.read(at.at or "", now=datetime.now(UTC))
            return at.beyond(following) if following is not None else at.enter(_ORGANIZATIONS)
        following, compared = await self._prices.compare(at.at or "")
        at = at.beyond(following, compared=compared)
        return at if following is not None else at.end()
