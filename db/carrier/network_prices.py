"""Twilio's prices by country and network, and the rates that do not cover them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.campaigns.rates import EVERYBODY
from db.tables.carrier import network_prices
from domain.alerts import AlertKind
from domain.carrier.floors import NetworkPrice
from domain.money import Money

_COUNTRIES = text(
    """
    SELECT country FROM rates WHERE country > :after
    UNION SELECT country FROM network_prices WHERE country > :after
    ORDER BY country LIMIT :limit
    """
)
_BELOW_COST = text(
    """
    SELECT r.organization_id, r.country, r.currency, r.price_per_segment_micros AS price, cost.micros AS cost
    FROM rates r CROSS JOIN LATERAL (
        SELECT max(p.price_micros) AS micros FROM network_prices p
        WHERE p.country = r.country AND p.currency = r.currency AND (r.network IS NULL OR p.network = r.network)
    ) cost
    WHERE NOT r.below_cost AND r.price_per_segment_micros < cost.micros
      AND (CAST(:of AS text) IS NULL OR r.organization_id = :of)
    ORDER BY r.organization_id, r.country
    """
)


async def put(
    conn: AsyncConnection, country: str, prices: Sequence[NetworkPrice], *, now: datetime
) -> None:
    """Replace what is known of a country. The caller commits."""
    await conn.execute(delete(network_prices).where(network_prices.c.country == country))
    if prices:
        values = [
            {
                "country": country,
                "network": each.network,
                "currency": each.price.currency,
                "carrier": each.carrier,
                "price_micros": each.price.micros,
                "read_at": now,
            }
            for each in prices
        ]
        await conn.execute(insert(network_prices), values)


async def of(
    conn: AsyncConnection, countries: Sequence[str]
) -> Mapping[str, Sequence[NetworkPrice]]:
    """The networks of each country, by their numbers; countries that are not known are left out."""
    query = (
        select(network_prices)
        .where(network_prices.c.country.in_(countries))
        .order_by(network_prices.c.country, network_prices.c.network)
    )
    found: dict[str, list[NetworkPrice]] = {}
    for row in await conn.execute(query):
        price = NetworkPrice(
            country=row.country,
            network=row.network,
            carrier=row.carrier,
            price=Money(row.price_micros, row.currency),
        )
        found.setdefault(row.country, []).append(price)
    return found


async def countries(conn: AsyncConnection, *, after: str, limit: int) -> list[str]:
    """Those with a rate, or with a known price."""
    return list((await conn.execute(_COUNTRIES, {"after": after, "limit": limit})).scalars())


async def warn(conn: AsyncConnection, whose: str | None = None) -> int:
    """Raise an alert for whoever has rates below cost, and clear it where none is; `whose`: only
    for this one, which is only cleared. Returns for how many it stands. The caller commits.
    """
    below: dict[str, list[str]] = {}
    for row in await conn.execute(_BELOW_COST, {"of": whose}):
        price, cost = Money(row.price, row.currency), Money(row.cost, row.currency)
        line = f"{row.country}: {price} for a segment that costs {cost}"
        below.setdefault(row.organization_id, []).append(line)
    kind = AlertKind.RATE_BELOW_COST
    named = [whose] if whose else await alerts.organizations_with(conn, kind)
    for each in named:
        if _of(each) not in {_of(name) for name in below}:
            await alerts.clear(conn, _of(each), kind)
    if whose is None:
        for each, lines in below.items():
            await alerts.raise_(conn, _of(each), kind, "; ".join(lines))
    return len(below)


def _of(whose: str) -> str:
    """Everybody's rates are the installation's."""
    return alerts.INSTALLATION if whose == EVERYBODY else whose
