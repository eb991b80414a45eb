"""Usage by day and category, as Twilio said it: each answer that differs is a further revision, the
newest counts, and none is ever changed.
"""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Text, bindparam, case, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.carrier import carrier_usage
from domain.carrier.categories import TOTAL
from domain.carrier.usage import UsageRecord

_NEWEST = (
    select(carrier_usage)
    .ext(distinct_on(carrier_usage.c.day, carrier_usage.c.category))
    .where(carrier_usage.c.organization_id == bindparam("of", type_=Text))
    .order_by(carrier_usage.c.day, carrier_usage.c.category, carrier_usage.c.revision.desc())
)
_OF_DAY = _NEWEST.where(carrier_usage.c.day == bindparam("on"))
_TOTALS = _NEWEST.where(
    carrier_usage.c.category == TOTAL, carrier_usage.c.day >= bindparam("since")
)


async def totals(
    conn: AsyncConnection, organization_id: str, *, since: date
) -> dict[date, UsageRecord]:
    """The recorded totals by day."""
    rows = await conn.execute(_TOTALS, {"of": organization_id, "since": since})
    return {row.day: _read(row) for row in rows}


async def sums(
    conn: AsyncConnection, organization_id: str, first: date, last: date
) -> dict[str, int | None]:
    """The recorded prices of all days by category; None if one of them is not known yet."""
    newest = _NEWEST.where(carrier_usage.c.day.between(first, last)).subquery()
    missing = func.bool_or(newest.c.price_micros.is_(None))
    query = select(
        newest.c.category,
        case((missing, None), else_=func.sum(newest.c.price_micros)).label("micros"),
    ).group_by(newest.c.category)
    rows = await conn.execute(query, {"of": organization_id})
    return {row.category: None if row.micros is None else int(row.micros) for row in rows}


async def of_day(conn: AsyncConnection, organization_id: str, day: date) -> list[UsageRecord]:
    rows = await conn.execute(_OF_DAY, {"of": organization_id, "on": day})
    return [_read(row) for row in rows]


async def record(
    conn: AsyncConnection, organization_id: str, day: date, records: Collection[UsageRecord]
) -> int:
    """Record all that Twilio says of a day; what it no longer lists is 0 now. Returns how many
    categories differ from before. The caller holds the standing, and commits.
    """
    rows = (await conn.execute(_OF_DAY, {"of": organization_id, "on": day})).all()
    before = {row.category: row for row in rows}
    differing = [*_gone(before, records)]
    for each in records:
        known = before.get(each.category)
        if each.same(None if known is None else _read(known)) or (known is None and each.empty):
            continue
        differing.append(each)
    if differing:
        await conn.execute(
            insert(carrier_usage),
            [
                {
                    "organization_id": organization_id,
                    "day": day,
                    "category": each.category,
                    "revision": before[each.category].revision + 1
                    if each.category in before
                    else 1,
                    "count": each.count,
                    "usage": each.usage,
                    "usage_unit": each.usage_unit,
                    "price_micros": each.price_micros,
                    "currency": each.currency,
                    "as_of": each.as_of,
                }
                for each in differing
            ],
        )
    return len(differing)


def _gone(before: dict[str, Any], records: Collection[UsageRecord]) -> Sequence[UsageRecord]:
    listed = {each.category for each in records}
    gone = [_read(row) for name, row in before.items() if name not in listed]
    return [
        UsageRecord(day=each.day, category=each.category, price_micros=0, currency=each.currency)
        for each in gone
        if not each.empty
    ]


def _read(row: Any) -> UsageRecord:
    return UsageRecord(**{name: getattr(row, name) for name in UsageRecord.__dataclass_fields__})
