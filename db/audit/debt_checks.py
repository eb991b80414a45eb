"""The checks of what is owed for the carrier: recovered once, and no debt without its block."""

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
        claim="wallets to which more was returned of carrier charges than was charged",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE returned > charged),
               min(organization_id) FILTER (WHERE returned > charged)
        FROM (
            SELECT organization_id, sum(amount_micros) AS returned,
                   (SELECT coalesce(-sum(c.amount_micros), 0) FROM ledger_entries c
                    WHERE c.organization_id = r.organization_id AND c.kind = 'carrier_charge')
                   + (SELECT coalesce(sum(d.amount_micros), 0) FROM carrier_debts d
                      WHERE d.organization_id = r.organization_id) AS charged
            FROM ledger_entries r
            WHERE kind = 'carrier_refund' AND organization_id IN (
                SELECT organization_id FROM examined.ledger_entries WHERE kind = 'carrier_refund')
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
