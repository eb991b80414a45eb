"""The checks of reversals: booked once, never more than was paid, and no debt without its block."""

from db.audit.checks import Check

REVERSAL_CHECKS = (
    Check(
        guarantee=4,
        claim="reversals whose ledger entries do not match the amounts taken, recovered and "
        "returned",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong),
               min(r.organization_id || ', ' || r.provider || ' ' || r.object_id) FILTER (WHERE wrong)
        FROM (
            SELECT r.organization_id, r.provider, r.object_id,
                   coalesce(-taken.amount_micros, 0) <> r.taken_micros
                   OR recovered.micros <> r.recovered_micros
                   OR coalesce(given.amount_micros, 0) <> CASE WHEN r.returned_at IS NULL THEN 0
                                                               ELSE r.taken_micros + r.recovered_micros END AS wrong
            FROM examined.reversals r
            LEFT JOIN ledger_entries taken ON taken.organization_id = r.organization_id AND taken.kind = 'reversal'
                 AND taken.reference_id = 'reversal:' || r.provider || ':' || r.object_id
            LEFT JOIN ledger_entries given ON given.organization_id = r.organization_id AND given.kind = 'credit'
                 AND given.reference_id = 'returned:' || r.provider || ':' || r.object_id
            CROSS JOIN LATERAL (
                SELECT coalesce(-sum(e.amount_micros), 0) AS micros
                FROM generate_series(1, r.recoveries) AS number JOIN ledger_entries e
                    ON e.organization_id = r.organization_id AND e.kind = 'recovery'
                    AND e.reference_id = 'recovery:' || r.provider || ':' || r.object_id || ':' || number
            ) recovered
        ) r
        """,
    ),
    Check(
        guarantee=4,
        claim="reversals that count for less than the payment that they reverse, or for another "
        "kind of payment",
        # Of several reversals of one payment the later ones may count for what the earlier ones
        # left.
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong),
               min(organization_id || ', ' || provider || ' ' || object_id) FILTER (WHERE wrong)
        FROM (
            SELECT r.organization_id, r.provider, r.object_id, r.payment_kind IS DISTINCT FROM p.kind
                   OR count(*) OVER (PARTITION BY r.organization_id, r.provider, r.payment_id) = 1
                      AND r.amount_micros < least(r.told_micros, p.amount_micros) AS wrong
            FROM examined.reversals r LEFT JOIN payments p ON p.organization_id = r.organization_id
                 AND p.provider = r.provider AND p.object_id = r.payment_id
        ) compared
        """,
    ),
    Check(
        guarantee=4,
        claim="wallets with reversal or recovery entries that no reversal or carrier charge explains",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE e.number <> coalesce(r.number, 0)),
               min(e.organization_id) FILTER (WHERE e.number <> coalesce(r.number, 0))
        FROM (
            SELECT organization_id, count(*) AS number FROM ledger_entries
            WHERE kind IN ('reversal', 'recovery') GROUP BY organization_id
        ) e LEFT JOIN (
            SELECT organization_id, sum(number) AS number FROM (
                SELECT organization_id, recoveries + (taken_micros > 0)::int AS number FROM reversals
                UNION ALL SELECT organization_id, recoveries FROM carrier_debts
            ) explained GROUP BY organization_id
        ) r USING (organization_id)
        """,
        new="""
        SELECT count(*), count(*) FILTER (WHERE entries <> booked),
               min(organization_id) FILTER (WHERE entries <> booked)
        FROM (
            SELECT organization_id,
                   (SELECT count(*) FROM ledger_entries e
                    WHERE e.organization_id = n.organization_id AND e.kind IN ('reversal', 'recovery')) AS entries,
                   (SELECT coalesce(sum(recoveries + (taken_micros > 0)::int), 0) FROM reversals r
                    WHERE r.organization_id = n.organization_id)
                   + (SELECT coalesce(sum(recoveries), 0) FROM carrier_debts d
                      WHERE d.organization_id = n.organization_id) AS booked
            FROM (
                SELECT organization_id FROM new_reversals
                UNION SELECT organization_id FROM new_carrier_debts
                UNION SELECT organization_id FROM new_tail WHERE kind IN ('reversal', 'recovery')
            ) n
        ) counted
        """,
    ),
    Check(
        guarantee=4,
        claim="payments whose reversals exceed the amount paid",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE r.total > p.amount_micros) FROM (
            SELECT organization_id, provider, payment_id, sum(amount_micros) AS total
            FROM examined.reversals WHERE returned_at IS NULL GROUP BY organization_id, provider, payment_id
        ) r JOIN payments p ON p.organization_id = r.organization_id AND p.provider = r.provider
             AND p.object_id = r.payment_id
        """,
    ),
    Check(
        guarantee=4,
        claim="payments that were fully refunded before they were booked, but were credited",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE EXISTS (
            SELECT FROM ledger_entries e
            WHERE e.kind = 'credit' AND e.reference_id = p.provider || ':capture:' || p.object_id
              AND e.organization_id = p.organization_id))
        FROM examined.payments p WHERE p.kind = 'returned'
        """,
    ),
    Check(
        guarantee=2,
        claim="organizations with a debt from reversals but no block, or with the block but no "
        "debt",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE o.organization_id IS NULL OR b.organization_id IS NULL)
        FROM (
            SELECT DISTINCT organization_id FROM reversals
            WHERE payment_kind = 'topup' AND returned_at IS NULL
              AND taken_micros + recovered_micros + waived_micros < amount_micros
        ) o FULL JOIN (
            SELECT organization_id FROM blocks WHERE kind = 'dispute' AND reference = 'receivable'
        ) b USING (organization_id)
        """,
    ),
    Check(
        guarantee=4,
        claim="forgiven debts that differ from their record",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', ' || name) FILTER (WHERE wrong)
        FROM (
            SELECT organization_id, name, coalesce(r.waived_micros, 0) <> coalesce(c.micros, 0) AS wrong
            FROM (
                SELECT organization_id, waived_micros, provider || ':' || object_id AS name FROM examined.reversals
                UNION ALL SELECT organization_id, waived_micros, reference_id FROM examined.carrier_debts
            ) r FULL JOIN (
                SELECT organization_id, reference_id AS name,
                       sum(CASE change WHEN 'debt_waived' THEN amount_micros ELSE -amount_micros END) AS micros
                FROM examined.money_changes WHERE change IN ('debt_waived', 'waiver_reduced')
                GROUP BY organization_id, reference_id
            ) c USING (organization_id, name)
        ) compared
        """,
    ),
)
