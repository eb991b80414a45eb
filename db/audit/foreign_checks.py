"""The checks of messages that Tollgate did not hand over: each is charged, and what was taken for it
early is returned once.
"""

from db.audit.checks import Check
from domain.carrier.provisional import FREE

_FREE = ", ".join(f"'{status}'" for status in sorted(FREE))
_CHARGED = """
    SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', ' || message_sid) FILTER (WHERE wrong)
    FROM (
        SELECT f.organization_id, f.message_sid,
               f.charge_id IS NULL AND coalesce(f.happened_at > r.as_of, true) AS wrong
        FROM {found} LEFT JOIN carrier_readings r ON r.organization_id = f.organization_id
        WHERE f.listed AND f.found_at < clock_timestamp() - interval '1 day'
          AND coalesce(f.status, '') NOT IN ({free})
          AND f.happened_at >= coalesce(CAST(r.charged_from AS timestamp) AT TIME ZONE 'UTC', '-infinity')
    ) judged
"""

FOREIGN_CHECKS = (
    Check(
        guarantee=2,
        claim="messages past Tollgate that are a day old, and neither charged nor in the usage",
        sql=_CHARGED.format(found="foreign_messages f", free=_FREE),
        new=_CHARGED.format(
            found="""(SELECT organization_id FROM message_readings
                      WHERE found_at > now() - interval '3 days') lately
                     CROSS JOIN LATERAL (
                         SELECT * FROM foreign_messages m WHERE m.organization_id = lately.organization_id
                           AND m.happened_at > now() - interval '3 days' OFFSET 0) f""",
            free=_FREE,
        ),
    ),
    Check(
        guarantee=4,
        claim="early charges for messages past Tollgate that the ledger and the debts do not have, "
        "or that were not returned once",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', charge ' || id) FILTER (WHERE wrong)
        FROM (
            SELECT c.organization_id, c.id,
                   coalesce(-e.amount_micros, 0) + coalesce(d.amount_micros, 0) <> c.amount_micros
                   OR coalesce(r.amount_micros, 0)
                      <> CASE WHEN c.returned_at IS NULL THEN 0 ELSE c.amount_micros END AS wrong
            FROM examined.foreign_charges c
            LEFT JOIN ledger_entries e ON e.organization_id = c.organization_id
                AND e.reference_id = 'carrier:foreign:' || c.id
            LEFT JOIN carrier_debts d ON d.organization_id = c.organization_id
                AND d.reference_id = 'carrier:foreign:' || c.id
            LEFT JOIN ledger_entries r ON r.organization_id = c.organization_id
                AND r.reference_id = 'carrier-refund:foreign:' || c.id
        ) compared
        """,
    ),
)
