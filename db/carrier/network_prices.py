"""Twilio's prices by parent account, country and network, and the rates that do not cover them."""

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

UNNAMED = ""
"""In place of a parent account: read before they were told apart."""
_WITH_RATE = text("SELECT DISTINCT country FROM rates")
_BELOW_COST = text(
    """
    SELECT r.organization_id, r.country, r.currency, r.price_per_segment_micros AS price, cost.micros AS cost
    FROM rates r LEFT JOIN organizations o ON o.id = r.organization_id
    CROSS JOIN LATERAL (
        SELECT max(p.price_micros) AS micros FROM network_prices p
        WHERE p.country = r.country AND p.currency = r.currency AND (r.network IS NULL OR p.network = r.network)
          AND (o.twilio_parent_sid IS NULL OR p.account_sid IN (o.twilio_parent_sid, ''))
    ) cost
    WHERE NOT r.below_cost AND r.price_per_segment_micros < cost.micros
      AND (CAST(:of AS text) IS NULL OR r.organization_id = :of)
    ORDER BY r.organization_id, r.country
    """
)


async def put(
    conn: AsyncConnection,
    parent: str,
    country: str,
    prices: Sequence[NetworkPrice],
    *,
    now: datetime,
) -> None:
    """Replace what is known of a country for a parent account. The caller commits."""
    table = network_prices
    await conn.execute(
        delete(table).where(table.c.country == country, table.c.account_sid.in_([parent, UNNAMED]))
    )
    if prices:
        values = [
            {
                "account_sid": parent,
                "country": country,
                "network": each.network,
                "currency": each.price.currency,
                "carrier": each.carrier,
                "price_micros": each.price.micros,
                "read_at": now,
            }
            for each in prices
        ]
        await conn.execute(insert(table), values)


async def of(
    conn: AsyncConnection, countries: Sequence[str], parent: str | None = None
) -> Mapping[str, Sequence[NetworkPrice]]:
    """The networks of each country, by their numbers, of one parent account or of all; countries
    that are not known are left out.
    """
    table = network_prices
    query = (
        select(table)
        .where(table.c.country.in_(countries))
        .order_by(table.c.country, table.c.network, table.c.account_sid)
    )
    if parent is not None:
        query = query.where(table.c.account_sid.in_([parent, UNNAMED]))
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


async def parents_with(conn: AsyncConnection, country: str) -> frozenset[str]:
    """The parent accounts whose prices of the country are known."""
    query = select(network_prices.c.account_sid).where(network_prices.c.country == country)
    return frozenset((await conn.execute(query.distinct())).scalars())


async def countries_with_rate(conn: AsyncConnection) -> frozenset[str]:
    return frozenset((await conn.execute(_WITH_RATE)).scalars())


async def keep_only(conn: AsyncConnection, parents: Sequence[str]) -> None:
    """Forget the prices of parent accounts that are no longer set up. The caller commits."""
    table = network_prices
    await conn.execute(delete(table).where(table.c.account_sid.not_in([*parents, UNNAMED])))


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
