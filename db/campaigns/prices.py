"""Records what Twilio charged for each message, and computes the margin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.carrier.provisional import FREE
from domain.money import Money

LISTED_EVERY = timedelta(hours=3)
_UNPRICED = text(
    """
    WITH RECURSIVE own AS (  -- from one organization to the next in an index
        (SELECT organization_id FROM messages
         WHERE provider_sid IS NOT NULL AND provider_price_micros IS NULL AND organization_id > :after
         ORDER BY organization_id LIMIT 1)
        UNION ALL
        SELECT (SELECT organization_id FROM messages
                WHERE provider_sid IS NOT NULL AND provider_price_micros IS NULL
                  AND organization_id > own.organization_id
                ORDER BY organization_id LIMIT 1)
        FROM own WHERE organization_id IS NOT NULL
    ), past_us AS (
        (SELECT organization_id FROM foreign_messages
         WHERE listed AND price_micros IS NULL AND organization_id > :after
         ORDER BY organization_id LIMIT 1)
        UNION ALL
        SELECT (SELECT organization_id FROM foreign_messages
                WHERE listed AND price_micros IS NULL AND organization_id > past_us.organization_id
                ORDER BY organization_id LIMIT 1)
        FROM past_us WHERE organization_id IS NOT NULL
    ), chosen AS MATERIALIZED (
        SELECT organization_id FROM (
            (SELECT organization_id FROM own WHERE organization_id IS NOT NULL LIMIT :limit)
            UNION (SELECT organization_id FROM past_us WHERE organization_id IS NOT NULL LIMIT :limit)
        ) unpriced ORDER BY organization_id LIMIT :limit
    ), sent AS (
        SELECT organization_id, CAST(begins AS date) AS day FROM chosen CROSS JOIN generate_series(
            CAST(:first AS timestamp), CAST(:last AS timestamp), interval '1 day') AS begins
        WHERE EXISTS (
            SELECT FROM messages
            WHERE messages.organization_id = chosen.organization_id
              AND provider_sid IS NOT NULL AND provider_price_micros IS NULL
              AND sending_at >= greatest(begins AT TIME ZONE 'UTC', :since)
              AND sending_at < least((begins + interval '1 day') AT TIME ZONE 'UTC', :before))
           OR EXISTS (
            SELECT FROM foreign_messages f
            WHERE f.organization_id = chosen.organization_id AND listed AND price_micros IS NULL
              AND coalesce(status, '') <> ALL(CAST(:free AS text[]))
              AND happened_at >= greatest(begins AT TIME ZONE 'UTC', :since)
              AND happened_at < least((begins + interval '1 day') AT TIME ZONE 'UTC', :before))
    ), days AS (  -- a message that Twilio queues past midnight is sent on the next day
        SELECT organization_id, day FROM sent
        UNION SELECT organization_id, day + 1 FROM sent WHERE day < CAST(:last AS date)
    ), due AS (
        SELECT days.organization_id, day, page FROM days LEFT JOIN listed_days USING (organization_id, day)
        WHERE listed_at IS NULL OR page IS NOT NULL OR :now - listed_at >= greatest(
            CAST(:each AS interval), listed_at - CAST(day + 1 AS timestamp) AT TIME ZONE 'UTC')
    )
    SELECT chosen.organization_id, twilio_account_sid, day, page
    FROM chosen JOIN organizations ON organizations.id = chosen.organization_id
         LEFT JOIN due ON due.organization_id = chosen.organization_id
    ORDER BY chosen.organization_id, day
    """
)
_NOTE_LISTED = text(
    """
    INSERT INTO listed_days (organization_id, day, page, listed_at)
    VALUES (:organization_id, :day, :page, CASE WHEN CAST(:page AS text) IS NULL THEN :now END)
    ON CONFLICT (organization_id, day) DO UPDATE
    SET page = excluded.page, listed_at = coalesce(excluded.listed_at, listed_days.listed_at)
    """
)
_LISTED_SINCE = text(
    """
    SELECT day FROM listed_days
    WHERE organization_id = :organization_id AND (listed_at >= :since OR page IS NOT NULL)
    """
)
_FORGET = text("DELETE FROM listed_days WHERE day < :before")
_RECORD = text(
    """
    UPDATE messages SET provider_price_micros = priced.micros, provider_price_currency = priced.currency,
                        billed_on = :day
    FROM (
        SELECT m.id, charged.micros, charged.currency
        FROM unnest(CAST(:sids AS text[]), CAST(:micros AS bigint[]), CAST(:currencies AS text[]))
             AS charged (sid, micros, currency)
        JOIN messages m ON m.organization_id = :organization_id AND m.provider_sid = charged.sid
        WHERE m.provider_price_micros IS NULL
        ORDER BY m.id FOR UPDATE OF m SKIP LOCKED
    ) AS priced
    WHERE messages.organization_id = :organization_id AND messages.id = priced.id
    """
)
_MARGINS = text(
    """
    SELECT country,
           count(*) FILTER (WHERE status = 'accepted') AS messages,
           count(*) FILTER (WHERE status = 'accepted' AND provider_price_micros IS NULL) AS unpriced,
           count(*) FILTER (WHERE provider_price_currency <> :currency) AS incomparable,
           coalesce(sum(price_micros) FILTER (WHERE status = 'accepted'), 0) AS charged,
           coalesce(sum(price_micros) FILTER (WHERE status = 'accepted' AND provider_price_currency = :currency), 0)
               AS comparable,
           coalesce(sum(provider_price_micros) FILTER (WHERE provider_price_currency = :currency), 0) AS cost
    FROM messages
    WHERE organization_id = :organization_id AND campaign_id = :campaign_id
    GROUP BY country
    ORDER BY charged DESC, country
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day (UTC) whose list at Twilio is due, and the page where reading it continues."""

    day: date
    page: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """An organization with messages of unknown price, and the days to list for it now."""

    organization_id: str
    account_sid: str
    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Revenue and Twilio's charges, in micros of the wallet's currency.

    `margin_micros` counts only messages with a known price in that currency; `incomparable` ones
    have another currency.
    """

    country: str | None
    messages: int
    unpriced: int
    incomparable: int
    charged_micros: int
    cost_micros: int
    margin_micros: int


async def unpriced(
    conn: AsyncConnection,
    *,
    after: str,
    since: datetime,
    before: datetime,
    now: datetime,
    limit: int,
) -> list[Unpriced]:
    """Organizations after `after` with unpriced messages, their own or past Tollgate, by id; days
    are due only for messages of the period.

    A day is listed again at growing intervals: while it lasts every `LISTED_EVERY`, then whenever
    it is twice as old.
    """
    params = {
        "after": after,
        "since": since,
        "before": before,
        "first": since.date(),
        "last": now.date(),
        "now": now,
        "each": LISTED_EVERY,
        "limit": limit,
        "free": sorted(FREE),
    }
    found: dict[str, Unpriced] = {}
    for row in await conn.execute(_UNPRICED, params):
        days = found[row.organization_id].days if row.organization_id in found else ()
        due = () if row.day is None else (Day(day=row.day, page=row.page),)
        found[row.organization_id] = Unpriced(
            organization_id=row.organization_id,
            account_sid=row.twilio_account_sid,
            days=(*days, *due),
        )
    return list(found.values())


async def note_listed(
    conn: AsyncConnection, organization_id: str, day: date, page: str | None, *, now: datetime
) -> None:
    """Record how far the day's list was read: up to `page`, or completely. The caller commits."""
    params = {"organization_id": organization_id, "day": day, "page": page, "now": now}
    await conn.execute(_NOTE_LISTED, params)


async def days_listed(
    conn: AsyncConnection, organization_id: str, *, since: datetime
) -> list[date]:
    """The days whose lists were read since then, or are just being read."""
    params = {"organization_id": organization_id, "since": since}
    return list((await conn.execute(_LISTED_SINCE, params)).scalars())


async def forget_listed(conn: AsyncConnection, *, before: date) -> None:
    """Forget days whose messages are given up. The caller commits."""
    await conn.execute(_FORGET, {"before": before})


async def record(
    conn: AsyncConnection,
    organization_id: str,
    prices: Mapping[str, Money],
    *,
    day: date | None = None,
) -> int:
    """Record prices by the messages' sids, each once; returns how many were new. `day` is that of
    the list they are from, on which Twilio billed them.

    Rows locked elsewhere are left to the next pass. The caller commits.
    """
    done = await conn.execute(
        _RECORD,
        {
            "organization_id": organization_id,
            "day": day,
            "sids": list(prices),
            "micros": [price.micros for price in prices.values()],
            "currencies": [price.currency for price in prices.values()],
        },
    )
    return done.rowcount


async def margins(
    conn: AsyncConnection, organization_id: str, campaign_id: UUID, currency: str
) -> list[Margin]:
    """Margins by country, the highest revenue first."""
    params = {"organization_id": organization_id, "campaign_id": campaign_id, "currency": currency}
    return [
        Margin(
            country=row.country,
            messages=row.messages,
            unpriced=row.unpriced,
            incomparable=row.incomparable,
            charged_micros=int(row.charged),
            cost_micros=int(row.cost),
            margin_micros=int(row.comparable - row.cost),
        )
        for row in await conn.execute(_MARGINS, params)
    ]
