"""Organizations' prices for all countries without a rate, and which of those cost more at Twilio."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from domain.alerts import AlertKind
from domain.money import Money

_DEAREST = """
    SELECT account_sid, currency, country, max(price_micros) AS price_micros
    FROM network_prices GROUP BY account_sid, currency, country
"""
_COSTS = """
    SELECT p.country, max(p.price_micros) AS micros FROM dearest p
    WHERE p.currency = o.currency
      AND (CAST(o.twilio_parent_sid AS text) IS NULL OR p.account_sid IN (o.twilio_parent_sid, ''))
      AND NOT EXISTS (SELECT FROM rates r WHERE r.organization_id IN ('*', o.id)
                        AND r.country = p.country AND r.currency = o.currency)
    GROUP BY p.country
"""
_UNCOVERED = text(
    f"""
    WITH dearest AS MATERIALIZED ({_DEAREST})
    SELECT o.id, o.currency, o.price AS price, count(*) AS countries, max(cost.micros) AS cost,
           (array_agg(cost.country ORDER BY cost.micros DESC, cost.country))[1] AS dearest
    FROM (SELECT CAST(:id AS text) AS id, CAST(:currency AS text) AS currency,
                 CAST(:parent AS text) AS twilio_parent_sid, CAST(:price AS bigint) AS price) o
    CROSS JOIN LATERAL ({_COSTS}) cost
    WHERE cost.micros > o.price GROUP BY o.id, o.currency, o.price
    """  # noqa: S608 - of constants
)
_PAGE = text(
    f"""
    WITH dearest AS MATERIALIZED ({_DEAREST}), page AS MATERIALIZED (
        SELECT id, currency, twilio_parent_sid, price_per_segment_micros AS price, price_below_cost
        FROM organizations WHERE id > :after ORDER BY id LIMIT :limit
    ), below AS (
        SELECT o.id, count(*) AS countries, max(cost.micros) AS cost,
               (array_agg(cost.country ORDER BY cost.micros DESC, cost.country))[1] AS dearest
        FROM page o CROSS JOIN LATERAL ({_COSTS}) cost
        WHERE NOT o.price_below_cost AND cost.micros > o.price GROUP BY o.id
    )
    SELECT page.id, page.currency, page.price, below.countries, below.cost, below.dearest
    FROM page LEFT JOIN below USING (id) ORDER BY page.id
    """  # noqa: S608 - of constants
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncovered:
    """A price for all countries without a rate, of which `countries` cost more; `cost` is that of
    the `dearest`.
    """

    price: Money
    countries: int
    dearest: str
    cost: Money

    def __str__(self) -> str:
        others = f" and {self.countries - 1} more" if self.countries > 1 else ""
        return (
            f"price_per_segment is {self.price}, and Twilio charges up to {self.cost} for a segment "
            f"to {self.dearest}{others} without a rate"
        )


async def uncovered(
    conn: AsyncConnection, organization_id: str, parent: str | None, price: Money
) -> Uncovered | None:
    """Whether a price would be below cost somewhere, as far as Twilio's prices are known."""
    params = {
        "id": organization_id,
        "parent": parent,
        "currency": price.currency,
        "price": price.micros,
    }
    row = (await conn.execute(_UNCOVERED, params)).one_or_none()
    return None if row is None else _uncovered(row)


async def warn(conn: AsyncConnection, *, after: str, limit: int) -> Sequence[str]:
    """Raise an alert for the next organizations whose price is below cost, and clear it for those
    whose is not; returns all of them. The caller commits.
    """
    rows = (await conn.execute(_PAGE, {"after": after, "limit": limit})).all()
    ids = [row.id for row in rows]
    kind = AlertKind.PRICE_BELOW_COST
    warned = set(await alerts.organizations_with(conn, kind)) if ids else set()
    for row in rows:
        if row.countries is not None:
            await alerts.raise_(conn, row.id, kind, str(_uncovered(row)))
        elif row.id in warned:
            await alerts.clear(conn, row.id, kind)
    return ids


def _uncovered(row: Any) -> Uncovered:
    return Uncovered(
        price=Money(row.price, row.currency),
        countries=row.countries,
        dearest=row.dearest,
        cost=Money(row.cost, row.currency),
    )
