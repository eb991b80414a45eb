"""The checks of what is owed for the carrier: recovered once, never more than is due, and no debt
without its block.
"""

from db.audit.checks import Check

DEBT_CHECKS = (
    Check(
        guarantee=4,
        claim="debts from carrier charges whose ledger entries do not match the amount recovered",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong),
               min(organization_id || ', ' || reference_id) FILTER (WHERE wrong)
        FROM (
            SELECT d.organization_id, d.reference_id, recovered.micros <> d.recovered_micros AS wrong
            FROM examined.carrier_debts d CROSS JOIN LATERAL (
                SELECT coalesce(-sum(e.amount_micros), 0) AS micros
                FROM generate_series(1, d.recoveries) AS number JOIN ledger_entries e
                    ON e.organization_id = d.organization_id AND e.kind = 'recovery'
                    AND e.reference_id = 'recovery:' || d.reference_id || ':' || number
            ) recovered
        ) compared
        """,
    ),
    Check(
        guarantee=4,
        claim="charges of Twilio of which more is owed or forgiven than is due for them",
        sql=r"""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', ' || name) FILTER (WHERE wrong)
        FROM (
            SELECT d.organization_id, d.name, sum(d.open) > (
                SELECT coalesce(sum(due_micros), 0) FROM (
                    SELECT due_micros FROM carrier_charges c
                    WHERE c.organization_id = d.organization_id AND c.day = CAST(left(d.name, 10) AS date)
                      AND c.category = substr(d.name, 12)
                    ORDER BY revision DESC LIMIT 1) newest) AS wrong
            FROM (
                SELECT organization_id, amount_micros - recovered_micros AS open,
                       substring(reference_id FROM '^carrier:(.*):[0-9]+$') AS name
                FROM examined.carrier_debts WHERE reference_id ~ '^carrier:\d{4}-\d\d-\d\d:.+:\d+$') d
            GROUP BY d.organization_id, d.name
            UNION ALL
            SELECT d.organization_id, d.reference_id, NOT EXISTS (
                SELECT FROM foreign_charges f
                WHERE f.organization_id = d.organization_id AND f.id = CAST(substr(d.reference_id, 17) AS bigint)
                  AND CASE WHEN f.returned_at IS NULL THEN d.amount_micros <= f.amount_micros
                      ELSE d.amount_micros = d.recovered_micros + d.waived_micros END)
            FROM examined.carrier_debts d WHERE d.reference_id ~ '^carrier:foreign:\d{1,18}$'
            UNION ALL
            SELECT d.organization_id, d.reference_id, d.amount_micros > (
                SELECT coalesce(sum(s.micros), 0) FROM segment_differences s
                WHERE s.organization_id = d.organization_id AND s.micros > 0
                  AND s.batch = CAST(substr(d.reference_id, 18) AS uuid))
            FROM examined.carrier_debts d WHERE d.reference_id ~ '^carrier:segments:[0-9a-f-]{36}$'
        ) compared
        """,
    ),
    Check(
        guarantee=4,
        claim="organizations to which more was returned of carrier charges, or which owe more, "
        "than was charged",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE returned + open > charged),
               min(organization_id) FILTER (WHERE returned + open > charged)
        FROM (
            SELECT organization_id, sum(returned) AS returned, (
                       SELECT coalesce(sum(amount_micros - recovered_micros), 0) FROM carrier_debts d
                       WHERE d.organization_id = r.organization_id) AS open,
                   (SELECT coalesce(-sum(c.amount_micros), 0) FROM ledger_entries c
                    WHERE c.organization_id = r.organization_id AND c.kind = 'carrier_charge')
                   + (SELECT coalesce(sum(d.amount_micros), 0) FROM carrier_debts d
                      WHERE d.organization_id = r.organization_id) AS charged
            FROM (
                SELECT organization_id, amount_micros AS returned FROM ledger_entries
                WHERE kind = 'carrier_refund' AND organization_id IN (
                    SELECT organization_id FROM examined.ledger_entries WHERE kind = 'carrier_refund')
                UNION ALL SELECT organization_id, 0 FROM examined.carrier_debts
            ) r
            GROUP BY organization_id
        ) counted
        """,
    ),
    Check(
        guarantee=2,
        claim="organizations with a debt from carrier charges but no block, or with the block but "
        "no debt",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE o.organization_id IS NULL OR b.organization_id IS NULL)
        FROM (
            SELECT DISTINCT organization_id FROM carrier_debts
            WHERE recovered_micros + waived_micros < amount_micros
        ) o FULL JOIN (
            SELECT organization_id FROM blocks WHERE kind = 'funds' AND reference = 'carrier'
        ) b USING (organization_id)
        """,
    ),
)
