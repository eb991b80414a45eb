"""Records up to when a provider's listed events were compared with the inbox, and how deliveries
arrived meanwhile.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.inbox.deliveries import COLUMNS, LISTED, Delivery, read
from db.tables.inbox import inbox, listings
from domain.billing.events import BillingEvent
from domain.billing.subscription import Provider

_OUT_OF_ORDER = text("""
    SELECT count(*) FROM inbox late
    WHERE provider = :provider AND received_at > :since AND received_at <= :until
      AND coalesce(transmission_id, '') NOT LIKE :listed
      AND EXISTS (SELECT FROM inbox earlier
                  WHERE earlier.organization_id = late.organization_id AND earlier.id < late.id
                    AND earlier.provider = late.provider AND earlier.received_at > :from
                    AND earlier.occurred_at > late.occurred_at)
""")
_COUNT_DUPLICATES = text("""
    WITH counted AS (DELETE FROM repeated_deliveries WHERE provider = :provider RETURNING number),
    total AS (SELECT coalesce(sum(number), 0)::bigint AS number FROM counted)
    UPDATE listings SET duplicates = duplicates + total.number FROM total WHERE provider = :provider
    RETURNING total.number
""")
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
    *,
    missed: int,
    out_of_order: int,
    before: datetime | None,
    until: datetime,
) -> Counts:
    """Record that everything from `before`, as `listed_until` returned it, up to `until` was
    compared; add the figures, and the duplicates that no comparison has counted yet, to the totals.

    Nothing changes if a concurrent comparison was faster: it has counted the same. The caller
    commits.
    """
    found = Counts(missed=missed, out_of_order=out_of_order)
    added = {"missed": missed, "out_of_order": out_of_order}
    advanced = await conn.execute(
        upsert(listings)
        .values(provider=provider.value, listed_until=until, **added)
        .on_conflict_do_update(
            index_elements=["provider"],
            set_={
                "listed_until": until,
                **{name: getattr(listings.c, name) + number for name, number in added.items()},
            },
            where=listings.c.listed_until == before,
        )
        .returning(listings.c.provider)
    )
    if advanced.one_or_none() is None:
        return found
    counted = await conn.execute(_COUNT_DUPLICATES, {"provider": provider.value})
    return replace(found, duplicates=counted.scalar_one())


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


async def out_of_order(
    conn: AsyncConnection, provider: Provider, since: datetime, until: datetime
) -> int:
    """How many deliveries of the period arrived after a later event of their organization."""
    params = {"provider": provider.value, "since": since, "from": since - _BEFORE, "until": until}
    late = await conn.execute(_OUT_OF_ORDER, {**params, "listed": f"{LISTED}%"})
    return int(late.scalar_one())
