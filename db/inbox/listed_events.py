"""Records up to when a provider's listed events were compared with the inbox, and how deliveries
arrived meanwhile.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.inbox.deliveries import COLUMNS, LISTED, Delivery, read
from db.tables.inbox import inbox, listings
from domain.billing.events import BillingEvent
from domain.billing.subscription import Provider

_ARRIVALS = text(
    """
    SELECT (SELECT coalesce(sum(deliveries - 1), 0)::bigint FROM inbox WHERE provider = :provider AND deliveries > 1)
           - coalesce((SELECT duplicates FROM listings WHERE provider = :provider), 0) AS duplicates,
           (SELECT count(*) FROM inbox late
            WHERE provider = :provider AND received_at > :since AND received_at <= :until
              AND coalesce(transmission_id, '') NOT LIKE :listed
              AND EXISTS (SELECT FROM inbox earlier
                          WHERE earlier.organization_id = late.organization_id AND earlier.id < late.id
                            AND earlier.provider = late.provider AND earlier.received_at > :from
                            AND earlier.occurred_at > late.occurred_at)) AS out_of_order
    """
)
_BEFORE = timedelta(days=1)
"""How far back earlier events count when an event may have been overtaken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """`missed`: listed and never delivered. `duplicates`: deliveries of an event that was stored
    already. `out_of_order`: events of an organization that arrived after a later event.
    """

    missed: int = 0
    duplicates: int = 0
    out_of_order: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How far one provider was compared, and the totals up to there."""

    until: datetime
    counts: Counts


async def listed_until(conn: AsyncConnection, provider: Provider) -> datetime | None:
    query = select(listings.c.listed_until).where(listings.c.provider == provider.value)
    until: datetime | None = (await conn.execute(query)).scalar_one_or_none()
    return until


async def compared(conn: AsyncConnection) -> dict[Provider, Compared]:
    """Every provider that was compared at least once."""
    return {
        Provider(row.provider): Compared(
            until=row.listed_until,
            counts=Counts(
                missed=row.missed, duplicates=row.duplicates, out_of_order=row.out_of_order
            ),
        )
        for row in await conn.execute(select(listings))
    }


async def advance(
    conn: AsyncConnection,
    provider: Provider,
    counts: Counts,
    *,
    before: datetime | None,
    until: datetime,
) -> None:
    """Record that everything from `before`, as `listed_until` returned it, up to `until` was
    compared; add `counts` to the totals.

    Nothing changes if a concurrent comparison was faster: it has counted the same. The caller
    commits.
    """
    row = {"provider": provider.value, "listed_until": until, **asdict(counts)}
    added = {name: getattr(listings.c, name) + number for name, number in asdict(counts).items()}
    await conn.execute(
        upsert(listings)
        .values(row)
        .on_conflict_do_update(
            index_elements=["provider"],
            set_={"listed_until": until, **added},
            where=listings.c.listed_until == before,
        )
    )


async def stored(
    conn: AsyncConnection, provider: Provider, events: Collection[BillingEvent]
) -> set[str]:
    """The ids of the events whose stored body leads to the same queries; a forged body may name
    another object.
    """
    query = select(*COLUMNS).where(
        inbox.c.provider == provider.value,
        inbox.c.event_id.in_([event.event_id for event in events]),
    )
    stored_keys = {
        (row.event_id, *_what_to_query(row.custom_id, read(row)))
        for row in await conn.execute(query)
    }
    return {
        event.event_id
        for event in events
        if (event.event_id, *_what_to_query(event.custom_id, event)) in stored_keys
    }


def _what_to_query(custom_id: str | None, source: BillingEvent | Delivery) -> tuple[object, ...]:
    """What the provider is queried for because of an event. The custom id counts only if no object
    is named.
    """
    names_nothing = source.subscription_id is None and source.money is None
    return source.kind, source.subscription_id, source.money, custom_id if names_nothing else None


async def arrivals(
    conn: AsyncConnection, provider: Provider, since: datetime, until: datetime
) -> Counts:
    """How deliveries arrived in the period; duplicates are those that no comparison has counted
    yet.
    """
    params = {"provider": provider.value, "since": since, "from": since - _BEFORE, "until": until}
    row = (await conn.execute(_ARRIVALS, {**params, "listed": f"{LISTED}%"})).one()
    return Counts(duplicates=row.duplicates, out_of_order=row.out_of_order)
