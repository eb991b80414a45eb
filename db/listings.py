"""How far the events that a provider lists have been compared with the inbox, and how deliveries came meanwhile."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.inbox import LISTED
from db.tables import inbox, listings
from domain.subscription import Provider

_ARRIVALS = text(
    """
    SELECT coalesce(sum(deliveries - 1), 0)::bigint AS duplicates,
           count(*) FILTER (WHERE occurred_at < newest_before AND NOT listed) AS out_of_order
    FROM (
        SELECT deliveries, occurred_at, coalesce(transmission_id, '') LIKE :listed AS listed,
               max(occurred_at) OVER (
                   PARTITION BY organization_id ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
               ) AS newest_before
        FROM inbox WHERE provider = :provider AND received_at > :since AND received_at <= :until
    ) arrived
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Deliveries of what was here, and events of an organization that came after one that had happened later."""

    duplicates: int
    out_of_order: int


async def listed_until(conn: AsyncConnection, provider: Provider) -> datetime | None:
    query = select(listings.c.listed_until).where(listings.c.provider == provider.value)
    found: datetime | None = (await conn.execute(query)).scalar_one_or_none()
    return found


async def advance(conn: AsyncConnection, provider: Provider, until: datetime) -> None:
    """Everything up to `until` is compared. The caller commits."""
    await conn.execute(
        upsert(listings)
        .values(provider=provider.value, listed_until=until)
        .on_conflict_do_update(index_elements=["provider"], set_={"listed_until": until})
    )


async def known(conn: AsyncConnection, provider: Provider, event_ids: Collection[str]) -> set[str]:
    """Those of `event_ids` that the inbox has."""
    query = select(inbox.c.event_id).where(inbox.c.provider == provider.value, inbox.c.event_id.in_(event_ids))
    return set((await conn.execute(query)).scalars())


async def arrivals(conn: AsyncConnection, provider: Provider, since: datetime, until: datetime) -> Arrivals:
    asked = {"provider": provider.value, "since": since, "until": until, "listed": f"{LISTED}%"}
    row = (await conn.execute(_ARRIVALS, asked)).one()
    return Arrivals(duplicates=row.duplicates, out_of_order=row.out_of_order)
