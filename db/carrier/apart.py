"""Charges that are none of a day's: for segments that Twilio counted beyond ours, and for messages
past Tollgate before the usage shows them. What of the bill they leave unpaid or waived.
"""

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.carrier.bill import Apart, ApartSource, Month, Unmet
from domain.carrier.categories import OUTBOUND

# The cost of messages with more segments counts as explained by what the customer pays, on the day
# on which Twilio billed it; also while that is owed.
_SEGMENTS = """
    WITH debts AS (
        SELECT d.organization_id, CAST(substr(d.reference_id, 18) AS uuid) AS batch,
               d.amount_micros - d.recovered_micros - d.waived_micros AS owed, d.waived_micros AS waived
        FROM carrier_debts d
        WHERE {of} AND d.reference_id LIKE 'carrier:segments:%' AND d.recovered_micros < d.amount_micros
    ), billed AS (
        SELECT debts.*, m.provider_price_currency AS currency, s.charged,
               coalesce(m.billed_on, CAST(m.sending_at AT TIME ZONE 'UTC' AS date)) AS day,
               CASE WHEN m.provider_price_currency = w.currency
                    THEN least(m.provider_price_micros, m.price_micros + s.micros)
                         - least(m.provider_price_micros, m.price_micros)
                    ELSE m.provider_price_micros * (s.theirs - s.ours) / s.theirs END AS cost
        FROM debts JOIN wallets w USING (organization_id)
        CROSS JOIN LATERAL (
            SELECT s.*, sum(s.micros) OVER () AS charged FROM segment_differences s
            WHERE s.organization_id = debts.organization_id AND s.batch = debts.batch AND s.micros > 0 OFFSET 0) s
        JOIN messages m ON m.organization_id = s.organization_id AND m.id = s.message_id
    )
    SELECT currency, true AS outbound, ceil(sum(cost * owed / charged)) AS owed,
           floor(sum(cost * waived / charged)) AS waived
    FROM billed WHERE day BETWEEN :first AND :last AND cost > 0 GROUP BY currency
"""
# What was waived of an early charge, and whose usage the wallet paid meanwhile, was given back.
_GIVEN_BACK = """
    SELECT c.currency, f.outbound, 0 AS owed, floor(sum(d.waived_micros * c.cost / c.due)) AS waived
    FROM carrier_debts d CROSS JOIN LATERAL (
        SELECT CAST(latest_at AT TIME ZONE 'UTC' AS date) AS day, (
                   SELECT bool_or(direction = 'outbound') FROM foreign_messages m
                   WHERE m.organization_id = f.organization_id AND m.charge_id = f.id) AS outbound
        FROM foreign_charges f
        WHERE f.organization_id = d.organization_id AND f.id = CAST(substr(d.reference_id, 17) AS bigint)
          AND f.returned_at IS NOT NULL OFFSET 0) f
    CROSS JOIN LATERAL (
        SELECT currency, sum(cost_micros - explained_micros - absorbed_micros) AS cost, sum(due_micros) AS due FROM (
            SELECT DISTINCT ON (category) * FROM carrier_charges c
            WHERE c.organization_id = d.organization_id AND c.day = f.day ORDER BY category, revision DESC) newest
        WHERE due_micros > 0 GROUP BY currency) c
    WHERE {of} AND d.reference_id LIKE 'carrier:foreign:%' AND d.waived_micros > 0
      AND f.day BETWEEN :first AND :last
    GROUP BY c.currency, f.outbound
"""
_FIRST = "CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'UTC'"
_BEHIND_LAST = "CAST(CAST(:last AS date) + 1 AS timestamp) AT TIME ZONE 'UTC'"
_APART = f"""
    SELECT source, currency, sum(charged) AS charged, sum(owed) AS owed, sum(waived) AS waived FROM (
        SELECT 'foreign_messages' AS source, f.organization_id, f.amount_micros AS charged,
               coalesce(d.amount_micros - d.recovered_micros - d.waived_micros, 0) AS owed,
               coalesce(d.waived_micros, 0) AS waived
        FROM foreign_charges f LEFT JOIN carrier_debts d ON d.organization_id = f.organization_id
             AND d.reference_id = 'carrier:foreign:' || f.id
        WHERE {{charges}} AND f.returned_at IS NULL AND f.latest_at >= {_FIRST} AND f.latest_at < {_BEHIND_LAST}
        UNION ALL
        SELECT 'segments', d.organization_id, d.amount_micros,
               d.amount_micros - d.recovered_micros - d.waived_micros, d.waived_micros
        FROM carrier_debts d
        WHERE {{of}} AND d.reference_id LIKE 'carrier:segments:%' AND d.booked_at >= {_FIRST}
          AND d.booked_at < {_BEHIND_LAST}
    ) apart JOIN wallets w USING (organization_id)
    GROUP BY source, currency ORDER BY source, currency
"""  # noqa: S608 - no values
_OF_ONE = {"of": "d.organization_id = :of", "charges": "f.organization_id = :of"}
# nothing is charged before it happens
_OF_ALL = {"of": f"d.booked_at >= {_FIRST}", "charges": "true"}


def _both(statement: str) -> tuple[TextClause, TextClause]:
    return text(statement.format(**_OF_ONE)), text(statement.format(**_OF_ALL))


_UNMET = (_both(_SEGMENTS), _both(_GIVEN_BACK))
_FOUND = _both(_APART)
_OUT, _IN = (*OUTBOUND, "channels"), ("sms-inbound", "mms-inbound", "usage-rcs", "channels")


async def unmet(conn: AsyncConnection, month: Month, organization_id: str | None) -> list[Unmet]:
    """What counts as paid in the bill of the month, and is not."""
    return [
        Unmet(
            prefixes=_OUT if row.outbound else _IN,
            currency=row.currency,
            owed_micros=int(row.owed),
            waived_micros=int(row.waived),
        )
        for statements in _UNMET
        for row in await conn.execute(*_ask(statements, month, organization_id))
    ]


async def of_month(conn: AsyncConnection, month: Month, organization_id: str | None) -> list[Apart]:
    return [
        Apart(
            source=ApartSource(row.source),
            currency=row.currency,
            charged_micros=int(row.charged),
            owed_micros=int(row.owed),
            waived_micros=int(row.waived),
        )
        for row in await conn.execute(*_ask(_FOUND, month, organization_id))
    ]


def _ask(
    statements: tuple[TextClause, TextClause], month: Month, organization_id: str | None
) -> tuple[TextClause, dict[str, object]]:
    of_one, of_all = statements
    params: dict[str, object] = {"first": month.first, "last": month.last}
    if organization_id is None:
        return of_all, params
    return of_one, params | {"of": organization_id}
