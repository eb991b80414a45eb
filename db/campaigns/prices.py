"""Records what Twilio charged for each message, and computes the margin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.money import Money

_NEXT_UNPRICED = text(
    """
    SELECT organization_id, min(sending_at) AS first FROM messages
    WHERE provider_sid IS NOT NULL AND provider_price_micros IS NULL AND sending_at >= :since AND sending_at < :before
      AND organization_id = (
          SELECT organization_id FROM messages
          WHERE provider_sid IS NOT NULL AND provider_price_micros IS NULL
            AND sending_at >= :since AND sending_at < :before AND organization_id > :after
          ORDER BY organization_id LIMIT 1
      )
    GROUP BY organization_id
    """
)
_RECORD = text(
    """
    UPDATE messages SET provider_price_micros = priced.micros, provider_price_currency = priced.currency
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


@dataclass(frozen=True, slots=True)
class Unpriced:
    """An organization with messages of unknown price, and the day of the oldest."""

    organization_id: str
    first_day: date


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


async def next_unpriced(
    conn: AsyncConnection, *, after: str, since: datetime, before: datetime
) -> Unpriced | None:
    """The first organization after `after` with unpriced messages handed over in the period."""
    row = (
        await conn.execute(_NEXT_UNPRICED, {"after": after, "since": since, "before": before})
    ).one_or_none()
    return None if row is None else Unpriced(row.organization_id, row.first.astimezone(UTC).date())


async def record(conn: AsyncConnection, organization_id: str, prices: Mapping[str, Money]) -> int:
    """Record prices by the messages' sids, each once; returns how many were new.

    Rows locked elsewhere are left to the next pass. The caller commits.
    """
    done = await conn.execute(
        _RECORD,
        {
            "organization_id": organization_id,
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
