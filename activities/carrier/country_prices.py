"""Reads Twilio's price list, of the countries that have a rate: daily, and when a rate is set for a
country whose price is not known.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import first_line, translated_forever
from db.carrier import network_prices
from domain.carrier.floors import NetworkPrice
from providers.errors import ProviderError, ProviderUnavailable
from providers.twilio import Twilio
from providers.twilio.pricing import outbound_prices

log = structlog.get_logger()
COUNTRIES = 10
"""In one step."""


async def known(engine: AsyncEngine, twilio: Twilio, country: str) -> Sequence[NetworkPrice]:
    """The country's prices, read at Twilio unless they are stored. Raises `ProviderError`."""
    async with engine.connect() as conn:
        stored = (await network_prices.of(conn, [country])).get(country)
    if stored is not None:
        return stored
    found = await outbound_prices(twilio, country)
    async with engine.begin() as conn:
        await network_prices.put(conn, country, found, now=datetime.now(UTC))
    return found


class CountryPrices:
    """`turn` waits for the turn of one call of the budget that all workers share."""

    def __init__(
        self, engine: AsyncEngine, twilio: Twilio, turn: Callable[[], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._turn = turn

    async def read(self, after: str, *, now: datetime) -> str | None:
        """Read the next countries; returns the last one, None at the end, when the alerts are
        raised and cleared. What is not answered keeps its price until the next pass.

        Raises retryably if nothing answers.
        """
        async with self._engine.connect() as conn:
            countries = await network_prices.countries(conn, after=after, limit=COUNTRIES)
        silent: list[ProviderError] = []
        for country in countries:
            await self._turn()
            try:
                prices = await outbound_prices(self._twilio, country)
            except ProviderError as problem:
                log.warning("price_list_not_read", country=country, reason=first_line(problem))
                silent += [problem] if isinstance(problem, ProviderUnavailable) else []
                continue
            async with self._engine.begin() as conn:
                await network_prices.put(conn, country, prices, now=now)
        if silent and len(silent) == len(countries):
            with translated_forever():
                raise silent[0]
        if len(countries) == COUNTRIES:
            return countries[-1]
        async with self._engine.begin() as conn:
            await network_prices.warn(conn)
        return None
