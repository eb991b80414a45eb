"""What own messages of a day cost, as far as customers paid for them."""

from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.carrier.charges import Sent

QUEUED = timedelta(hours=10)
"""The longest that Twilio keeps a message before it sends it."""
# A message that Twilio queues past midnight is billed on the next day; which one is known with the
# price. Until then it counts on both, so that nobody is charged for it twice.
_SENT = text(
    """
    SELECT coalesce(sum(least(cost, price_micros)) FILTER (WHERE on_day), 0) AS paid,
           coalesce(sum(greatest(cost - price_micros, 0)) FILTER (WHERE on_day), 0) AS below,
           coalesce(sum(segments) FILTER (WHERE on_day OR cost IS NULL), 0) AS segments,
           coalesce(sum(segments) FILTER (WHERE cost IS NULL), 0) AS unpriced
    FROM (
        SELECT coalesce(d.theirs, m.segments) AS segments, m.provider_price_micros AS cost,
               -- in another currency than the price to the customer, it is paid
               CASE WHEN m.provider_price_currency = w.currency THEN m.price_micros + coalesce(d.micros, 0)
                    ELSE greatest(m.price_micros, m.provider_price_micros) END AS price_micros,
               m.provider_price_micros IS NOT NULL
               AND coalesce(m.billed_on, CAST(m.sending_at AT TIME ZONE 'UTC' AS date)) = :day AS on_day
        FROM messages m JOIN wallets w USING (organization_id)
        LEFT JOIN segment_differences d ON d.organization_id = m.organization_id AND d.message_id = m.id
             AND d.attempt = m.attempt
        WHERE m.organization_id = :organization_id
          AND m.sending_at >= CAST(CAST(:day AS date) - 1 AS timestamp) AT TIME ZONE 'UTC'
          AND m.sending_at < CAST(CAST(:day AS date) + 1 AS timestamp) AT TIME ZONE 'UTC'
          AND (m.status IN ('accepted', 'sending', 'unknown') OR EXISTS (
              SELECT FROM unpaid_sends u
              WHERE u.organization_id = m.organization_id AND u.message_id = m.id
                AND u.attempt = m.attempt AND u.charged_at IS NOT NULL))
          AND (m.provider_price_micros IS NOT NULL
               OR m.sending_at >= CAST(CAST(:day AS date) AS timestamp) AT TIME ZONE 'UTC' - :queued)
    ) sent
    """
)


async def of_day(conn: AsyncConnection, organization_id: str, day: date) -> Sent:
    row = (
        await conn.execute(
            _SENT, {"organization_id": organization_id, "day": day, "queued": QUEUED}
        )
    ).one()
    return Sent(
        paid_micros=int(row.paid),
        below_micros=int(row.below),
        segments=int(row.segments),
        unpriced_segments=int(row.unpriced),
    )
