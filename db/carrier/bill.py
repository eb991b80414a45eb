"""Reads the carrier's bill of a month, of one organization or of all."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.carrier import apart, company
from domain.carrier.bill import Bill, Line, Month, add_up, meet

_MONTH = "day BETWEEN :first AND :last"
_OF_ONE = f"organization_id = :of AND {_MONTH}"
_LINES = """
    WITH newest AS (
        SELECT DISTINCT ON (organization_id, day, category) *,
               cost_micros - explained_micros - absorbed_micros AS payable
        FROM carrier_charges WHERE {which}
        ORDER BY organization_id, day, category, revision DESC
    ), debts AS (
        SELECT c.organization_id, c.day, c.category,
               sum(d.amount_micros - d.recovered_micros - d.waived_micros) AS owed,
               sum(d.waived_micros) AS waived
        FROM carrier_debts d CROSS JOIN LATERAL (
            SELECT * FROM carrier_charges c
            WHERE c.organization_id = d.organization_id AND c.reference_id = substr(d.reference_id, 9)
            OFFSET 0) c
        WHERE {debts} AND day BETWEEN :first AND :last
        GROUP BY c.organization_id, c.day, c.category
    ), shares AS (  -- a debt is a part of the cost as it is of what was due for it
        SELECT n.*, n.due_micros - coalesce(d.owed, 0) - coalesce(d.waived, 0) AS taken,
               -- rounded up: nothing counts as paid while some of it is owed
               CASE WHEN n.due_micros = 0 THEN n.payable ELSE least(n.payable, ceil(
                   n.payable::numeric * coalesce(d.owed, 0) / n.due_micros)) END AS unpaid,
               CASE WHEN n.due_micros = 0 THEN 0 ELSE floor(
                   n.payable::numeric * coalesce(d.waived, 0) / n.due_micros) END AS waived
        FROM newest n LEFT JOIN debts d USING (organization_id, day, category)
    ), parts AS (  -- a later correction can leave less due than was waived
        SELECT *, least(payable - unpaid, waived) AS forgiven FROM shares
    )
    SELECT category, currency, sum(cost_micros) AS charged,
           sum(explained_micros + payable - unpaid - forgiven) AS paid,
           sum(absorbed_micros + forgiven) AS absorbed, sum(unpaid) AS unpaid, sum(taken) AS taken
    FROM parts GROUP BY category, currency
    HAVING count(*) FILTER (WHERE cost_micros <> 0) > 0
    ORDER BY sum(cost_micros) DESC, category, currency
"""
_TOTALS = """
    SELECT currency, sum(price_micros) AS charged FROM (
        SELECT DISTINCT ON (organization_id, day) currency, price_micros FROM carrier_usage
        WHERE category = 'totalprice' AND {which}
        ORDER BY organization_id, day, revision DESC
    ) newest WHERE price_micros IS NOT NULL GROUP BY currency
"""
_LINES_OF_ONE = text(_LINES.format(which=_OF_ONE, debts="d.organization_id = :of"))
_LINES_OF_ALL = text(
    # no day is charged before it begins
    _LINES.format(which=_MONTH, debts="d.booked_at >= CAST(:first AS timestamp) AT TIME ZONE 'UTC'")
)
_TOTALS_OF_ONE = text(_TOTALS.format(which=_OF_ONE))
_TOTALS_OF_ALL = text(_TOTALS.format(which=_MONTH))
"""A statement for each: with one for both, an organization's bill would read those of all."""


async def get(conn: AsyncConnection, month: Month, organization_id: str | None = None) -> Bill:
    """Without an id of all organizations, and of what Twilio charges the company itself. Call it on
    a snapshot.
    """
    params: dict[str, object] = {"first": month.first, "last": month.last}
    of_lines, of_totals = _LINES_OF_ALL, _TOTALS_OF_ALL
    if organization_id is not None:
        params["of"] = organization_id
        of_lines, of_totals = _LINES_OF_ONE, _TOTALS_OF_ONE
    read = [
        Line(
            category=row.category,
            currency=row.currency,
            charged_micros=int(row.charged),
            paid_micros=int(row.paid),
            absorbed_micros=int(row.absorbed),
            unpaid_micros=int(row.unpaid),
            taken_micros=int(row.taken),
        )
        for row in await conn.execute(of_lines, params)
    ]
    lines = meet(read, await apart.unmet(conn, month, organization_id))
    charged = {row.currency: int(row.charged) for row in await conn.execute(of_totals, params)}
    if organization_id is None:
        own = await company.lines(conn, month)
        lines += own
        for line in own:
            charged[line.currency] = charged.get(line.currency, 0) + line.charged_micros
    return Bill(
        month=month,
        lines=lines,
        totals=add_up(lines, charged),
        apart=await apart.of_month(conn, month, organization_id),
    )
