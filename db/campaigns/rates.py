"""Rates: the price of a segment to a country, for all organizations or for one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle.organizations import Organization
from db.tables.campaigns import rates
from domain.campaigns.rate_card import RateCard
from domain.campaigns.senders import is_service
from domain.money import Money

EVERYBODY = "*"
"""Used in place of an organization's id; no organization can have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`organization_id` is `EVERYBODY` or one organization's. It has to cover what Twilio charges
    for the dearest network of the country, or for `network`, unless it may be `below_cost`.
    """

    organization_id: str
    country: str
    price_per_segment: Money
    changed_at: datetime
    network: str | None = None
    below_cost: bool = False


async def put(
    conn: AsyncConnection,
    organization_id: str,
    country: str,
    price: Money,
    *,
    network: str | None = None,
    below_cost: bool = False,
) -> Rate:
    """Create or replace the rate. It applies to recipients that are loaded afterwards."""
    new = upsert(rates).values(
        organization_id=organization_id,
        country=country,
        currency=price.currency,
        price_per_segment_micros=price.micros,
        network=network,
        below_cost=below_cost,
    )
    stored = await conn.execute(
        new.on_conflict_do_update(
            index_elements=list(rates.primary_key),
            set_={
                "price_per_segment_micros": new.excluded.price_per_segment_micros,
                "network": new.excluded.network,
                "below_cost": new.excluded.below_cost,
                "changed_at": func.clock_timestamp(),
            },
        ).returning(rates)
    )
    return _rate(stored.one())


async def remove(conn: AsyncConnection, organization_id: str, country: str, currency: str) -> bool:
    """Delete the rate; False if there was none."""
    gone = await conn.execute(
        _one(delete(rates), organization_id, country, currency).returning(rates.c.country)
    )
    return gone.one_or_none() is not None


async def get(
    conn: AsyncConnection, organization_id: str, country: str, currency: str
) -> Rate | None:
    row = (
        await conn.execute(_one(select(rates), organization_id, country, currency))
    ).one_or_none()
    return None if row is None else _rate(row)


async def page(
    conn: AsyncConnection, organization_id: str, *, after: tuple[str, str] | None, limit: int
) -> list[Rate]:
    """In order of country and currency, those after `after` if it is given."""
    query = (
        select(rates)
        .where(rates.c.organization_id == organization_id)
        .order_by(rates.c.country, rates.c.currency)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(rates.c.country, rates.c.currency) > tuple_(*after))
    return [_rate(row) for row in await conn.execute(query)]


async def card(conn: AsyncConnection, organization: Organization) -> RateCard:
    """The organization's current rate card, in its wallet's currency."""
    query = (
        select(rates)
        .where(
            rates.c.organization_id.in_([EVERYBODY, organization.id]),
            rates.c.currency == organization.currency,
        )
        # the organization's own rates come last and override the common ones
        .order_by(rates.c.organization_id == organization.id)
    )
    by_country = {row.country: row.price_per_segment_micros for row in await conn.execute(query)}
    default = organization.price_per_segment
    return RateCard(
        currency=organization.currency,
        by_country=by_country,
        default=None if default is None else default.micros,
        least=_least(organization),
    )


def _least(organization: Organization) -> int:
    """Only a messaging service chooses RCS."""
    price = organization.price_per_rcs_message
    return price.micros if price is not None and is_service(organization.sender) else 0


def _one(query: Any, organization_id: str, country: str, currency: str) -> Any:
    return query.where(
        rates.c.organization_id == organization_id,
        rates.c.country == country,
        rates.c.currency == currency,
    )


def _rate(row: Row[Any]) -> Rate:
    return Rate(
        organization_id=row.organization_id,
        country=row.country,
        price_per_segment=Money(row.price_per_segment_micros, row.currency),
        changed_at=row.changed_at,
        network=row.network,
        below_cost=row.below_cost,
    )
