"""The statements by which `db/wallets` books lists of postings, as PostgreSQL and pgbench take them.

Wherever one decides, it repeats what `domain.wallet.settle` says, and refuses to where it is not sure.
"""

LOCK = """
    SELECT organization_id, currency, balance_micros, entries, gate_open,
           frozen_by_suspension, frozen_by_operator, freeze_reason, held_micros
    FROM wallets WHERE organization_id = ANY(%s)
    ORDER BY organization_id FOR UPDATE
"""
LOCK_FREE = LOCK + "SKIP LOCKED"
BY_INDEX = """
    SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
           set_config('enable_mergejoin', 'off', true)
"""
"""A plan that was made while the ledger was small is kept; it must not read the whole ledger when that has grown."""
KNOWN = """
    SELECT e.organization_id, e.seq, e.kind, e.amount_micros, e.balance_after_micros, e.reference_id, e.refunds,
           e.description
    FROM unnest(%s::text[], %s::text[]) AS asked (organization_id, reference_id)
    JOIN ledger_entries e USING (organization_id, reference_id)
    UNION ALL
    SELECT e.organization_id, e.seq, e.kind, e.amount_micros, e.balance_after_micros, e.reference_id, e.refunds,
           e.description
    FROM unnest(%s::text[], %s::text[]) AS returned (organization_id, refunds)
    JOIN ledger_entries e USING (organization_id, refunds)
"""
WRITE = """
    WITH appended AS (
        INSERT INTO ledger_entries (organization_id, seq, kind, amount_micros, balance_after_micros, reference_id,
                                    refunds, description)
        SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[],
                             %s::text[], %s::text[])
    )
    UPDATE wallets w SET balance_micros = last.balance_micros, entries = last.entries
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS last (organization_id, balance_micros, entries)
    WHERE w.organization_id = last.organization_id
"""
ALONE = """
    WITH held AS (
        SELECT balance_micros, entries FROM wallets
        WHERE organization_id = %(id)s::text AND currency = %(currency)s::text
          AND (%(kind)s::text = 'credit' OR gate_open AND NOT frozen_by_suspension AND NOT frozen_by_operator)
          AND balance_micros - held_micros >= %(least)s::bigint AND balance_micros <= %(most)s::bigint
        FOR UPDATE SKIP LOCKED
    ), appended AS (
        INSERT INTO ledger_entries (organization_id, seq, kind, amount_micros, balance_after_micros, reference_id,
                                    description)
        SELECT %(id)s::text, entries + 1, %(kind)s::text, %(amount)s::bigint, balance_micros + %(amount)s::bigint,
               %(reference)s::text, %(description)s::text
        FROM held
        ON CONFLICT (organization_id, reference_id) DO NOTHING
        RETURNING seq, balance_after_micros
    )
    UPDATE wallets w SET balance_micros = a.balance_after_micros, entries = a.seq FROM appended a
    WHERE w.organization_id = %(id)s::text
    RETURNING a.seq, a.balance_after_micros
"""
