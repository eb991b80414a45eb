"""Reads Twilio's price list for each parent account: daily, and when a rate is set for a country
whose price is not known.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import first_line, translated_forever
from db.carrier import fallback_prices, network_prices
from domain.carrier.floors import NetworkPrice
from providers.errors import ProviderError, ProviderUnavailable
from providers.twilio import Twilio, pricing

log = structlog.get_logger()
COUNTRIES = 25
ORGANIZATIONS = 500
"""In one step."""


async def known(
    engine: AsyncEngine, twilio: Twilio, country: str, parent: str | None
) -> Sequence[NetworkPrice]:
    """What a parent account pays for the country, or each of them; read at Twilio unless it is
    stored. Raises `ProviderError`.
    """
    async with engine.connect() as conn:
        stored = await network_prices.parents_with(conn, country)
    for each in twilio.parents if parent is None else [parent]:
        if each not in stored and each in twilio.parents:
            found = await pricing.outbound_prices(twilio, each, country)
            async with engine.begin() as conn:
                await network_prices.put(conn, each, country, found, now=datetime.now(UTC))
    async with engine.connect() as conn:
        return (await network_prices.of(conn, [country], parent)).get(country, ())


class CountryPrices:
    """`turn` waits for the turn of one call of the budget that all workers share."""

    def __init__(
        self, engine: AsyncEngine, twilio: Twilio, turn: Callable[[], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._turn = turn

    async def read(self, after: str, *, now: datetime) -> str | None:
        """Read the next countries for each parent account; returns the last one, None at the end,
        when the alerts about rates are raised and cleared. What is not answered keeps its price until
        the next pass.

        Raises retryably if nothing answers.
        """
        async with self._engine.connect() as conn:
            wanted = await network_prices.countries_with_rate(conn)
        await self._turn()
        with translated_forever():
            listed = await pricing.countries(self._twilio)
        countries = sorted(each for each in wanted.union(listed) if each > after)[:COUNTRIES]
        silent = [problem async for problem in self._unread(countries, now)]
        if silent and len(silent) == len(countries) * len(self._twilio.parents):
            with translated_forever():
                raise silent[0]
        if len(countries) == COUNTRIES:
            return countries[-1]
        async with self._engine.begin() as conn:
            await network_prices.keep_only(conn, self._twilio.parents)
            await network_prices.warn(conn)
        return None

    async def compare(self, after: str) -> tuple[str | None, int]:
        """Compare the prices of the next organizations for countries without a rate; returns the last
        one, None at the end, and how many were compared.
        """
        async with self._engine.begin() as conn:
            compared = await fallback_prices.warn(conn, after=after, limit=ORGANIZATIONS)
        return compared[-1] if len(compared) == ORGANIZATIONS else None, len(compared)

    async def _unread(
        self, countries: Iterable[str], now: datetime
    ) -> AsyncIterator[ProviderUnavailable]:
        for country in countries:
            for parent in self._twilio.parents:
                await self._turn()
                try:
                    prices = await pricing.outbound_prices(self._twilio, parent, country)
                except ProviderError as problem:
                    log.warning(
                        "price_list_not_read",
                        country=country,
                        account=parent,
                        reason=first_line(problem),
                    )
                    if isinstance(problem, ProviderUnavailable):
                        yield problem
                    continue
                async with self._engine.begin() as conn:
                    await network_prices.put(conn, parent, country, prices, now=now)
