"""The checks of the carrier's bill: each cent that Twilio charged is in a charge, and each charge is
what the ledger took, returned or left owed.
"""

from db.audit.checks import Check

_NEWEST = """
    NOT EXISTS (
        SELECT FROM carrier_charges later
        WHERE later.organization_id = c.organization_id AND later.day = c.day AND later.category = c.category
          AND later.revision > c.revision)
"""
BILL_CHECKS = (
    Check(
        guarantee=2,
        claim="days whose total at Twilio differs from the sum of what was booked for its usage "
        "categories",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE total <> booked),
               min(organization_id || ', ' || day) FILTER (WHERE total <> booked)
        FROM (
            SELECT d.organization_id, d.day, (
                SELECT price_micros FROM carrier_usage u
                WHERE u.organization_id = d.organization_id AND u.day = d.day AND u.category = 'totalprice'
                ORDER BY revision DESC LIMIT 1
            ) AS total, (
                SELECT coalesce(sum(cost_micros), 0) FROM (
                    SELECT DISTINCT ON (category) cost_micros FROM carrier_charges c
                    WHERE c.organization_id = d.organization_id AND c.day = d.day
                    ORDER BY category, revision DESC
                ) newest
            ) AS booked
            FROM (SELECT DISTINCT organization_id, day FROM examined.carrier_usage) d
        ) days
        """,
    ),
    Check(
        guarantee=2,
        claim="days on which Twilio's total had more than its categories explain, for longer than "
        "a day",
        sql=f"""
        SELECT (SELECT count(DISTINCT (organization_id, day)) FROM carrier_charges WHERE problem IS NOT NULL),
               count(*), min(organization_id || ', ' || day)
        FROM carrier_charges c
        WHERE problem IS NOT NULL AND category = 'totalprice' AND cost_micros > 0
          AND charged_at < clock_timestamp() - interval '1 day' AND {_NEWEST}
        """,
    ),
    Check(
        guarantee=2,
        claim="charges of Twilio that should have been taken from the wallet and were not",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', ' || day || ' ' || category)
               FILTER (WHERE wrong)
        FROM (
            SELECT organization_id, day, category,
                   cost_micros - explained_micros - absorbed_micros > 0 AND due_micros = 0
                   OR action = 'absorb' AND due_micros > 0 AS wrong
            FROM examined.carrier_charges c WHERE category <> 'totalprice' AND {_NEWEST}
        ) newest
        """,
    ),
    Check(
        guarantee=4,
        claim="carrier charges without exactly the ledger entry or debt of their amount, or such "
        "entries without a charge",
        sql=r"""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', ' || name) FILTER (WHERE wrong)
        FROM (
            SELECT c.organization_id, c.reference_id AS name, c.moved_micros <> CASE WHEN c.moved_micros < 0
                THEN -coalesce(r.amount_micros, 0)
                ELSE coalesce(-e.amount_micros, 0) + coalesce(d.amount_micros, 0) END AS wrong
            FROM examined.carrier_charges c
            LEFT JOIN ledger_entries e ON e.organization_id = c.organization_id AND e.kind = 'carrier_charge'
                 AND e.reference_id = 'carrier:' || c.reference_id
            LEFT JOIN carrier_debts d ON d.organization_id = c.organization_id
                 AND d.reference_id = 'carrier:' || c.reference_id
            LEFT JOIN ledger_entries r ON r.organization_id = c.organization_id AND r.kind = 'carrier_refund'
                 AND r.reference_id = 'carrier-refund:' || c.reference_id
            WHERE c.reference_id IS NOT NULL
            UNION ALL
            SELECT e.organization_id, e.reference_id, NOT EXISTS (
                SELECT FROM carrier_charges c WHERE c.organization_id = e.organization_id
                    AND c.reference_id = substring(e.reference_id FROM '^carrier(?:-refund)?:(.*)$'))
            FROM examined.ledger_entries e
            WHERE e.kind IN ('carrier_charge', 'carrier_refund')
              AND e.reference_id ~ '^carrier(-refund)?:\d{4}-\d\d-\d\d:'
        ) compared
        """,
    ),
    Check(
        guarantee=4,
        claim="segments that Twilio counted otherwise, without the ledger entries or the debt of "
        "their sums, or such entries without them",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', ' || batch) FILTER (WHERE wrong)
        FROM (
            SELECT d.organization_id, CAST(d.batch AS text) AS batch,
                   sum(d.micros) FILTER (WHERE d.micros > 0) IS DISTINCT FROM (
                       SELECT sum(micros) FROM (
                           SELECT -amount_micros AS micros FROM ledger_entries e
                           WHERE e.organization_id = d.organization_id AND e.kind = 'carrier_charge'
                             AND e.reference_id = 'carrier:segments:' || d.batch
                           UNION ALL
                           SELECT amount_micros FROM carrier_debts o WHERE o.organization_id = d.organization_id
                             AND o.reference_id = 'carrier:segments:' || d.batch) taken)
                   OR -sum(d.micros) FILTER (WHERE d.micros < 0) IS DISTINCT FROM (
                       SELECT amount_micros FROM ledger_entries e
                       WHERE e.organization_id = d.organization_id AND e.kind = 'credit'
                         AND e.reference_id = 'segments:' || d.batch) AS wrong
            FROM examined.segment_differences d GROUP BY d.organization_id, d.batch
            UNION ALL
            SELECT e.organization_id, e.reference_id, NOT EXISTS (
                SELECT FROM segment_differences d WHERE d.organization_id = e.organization_id
                  AND CAST(d.batch AS text) = split_part(e.reference_id, 'segments:', 2))
            FROM examined.ledger_entries e
            WHERE e.kind IN ('carrier_charge', 'credit') AND e.reference_id ~ '^(carrier:)?segments:'
        ) compared
        """,
    ),
    Check(
        guarantee=4,
        claim="categories of a day for which more or less moved than is due",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', ' || day || ' ' || category)
               FILTER (WHERE wrong)
        FROM (
            SELECT d.*, (SELECT sum(moved_micros) FROM carrier_charges c WHERE c.organization_id = d.organization_id
                         AND c.day = d.day AND c.category = d.category)
                     <> (SELECT due_micros FROM carrier_charges c WHERE c.organization_id = d.organization_id
                         AND c.day = d.day AND c.category = d.category ORDER BY revision DESC LIMIT 1) AS wrong
            FROM (SELECT DISTINCT organization_id, day, category FROM examined.carrier_charges) d
        ) compared
        """,
    ),
)
