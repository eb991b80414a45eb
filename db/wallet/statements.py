"""The statements with which `db/wallet/wallets` books lists of postings, in the form that
PostgreSQL and pgbench accept.

A statement that decides repeats the rules of `domain.wallet.ledger.settle`, and refuses in doubt.
"""

from db.events.log import appending_sql
from domain.events.catalogue import EventType

LOCK = """
    SELECT organization_id, currency, balance_micros, entries, gate_open,
           frozen_by_suspension, frozen_by_operator, freeze_reason, held_micros,
           EXISTS (SELECT FROM fences WHERE opened_at IS NULL) AS fenced
    FROM wallets WHERE organization_id = ANY(%s)
    ORDER BY organization_id FOR UPDATE
"""
LOCK_FREE = LOCK + "SKIP LOCKED"
BY_INDEX = "SELECT set_config('enable_seqscan', 'off', true)"
"""A plan made while the ledger was small is kept; it must not scan the whole ledger once that has
grown.
"""
KNOWN = """
    SELECT named.organization_id, e.*
    FROM unnest(%s::text[], %s::text[]) AS named (organization_id, reference_id) CROSS JOIN LATERAL (
        SELECT seq, kind, amount_micros, balance_after_micros, reference_id, refunds, description FROM ledger_entries l
        WHERE l.organization_id = named.organization_id AND l.reference_id = named.reference_id LIMIT 1) e
    UNION ALL
    SELECT returned.organization_id, e.*
    FROM unnest(%s::text[], %s::text[]) AS returned (organization_id, refunds) CROSS JOIN LATERAL (
        SELECT seq, kind, amount_micros, balance_after_micros, reference_id, refunds, description FROM ledger_entries l
        WHERE l.organization_id = returned.organization_id AND l.refunds = returned.refunds LIMIT 1) e
"""
"""Looks up each row separately (LATERAL, LIMIT): no join reads more of the ledger than requested.
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
          AND (%(kind)s::text = 'credit' OR gate_open AND NOT frozen_by_suspension AND NOT frozen_by_operator
               AND NOT EXISTS (SELECT FROM fences WHERE opened_at IS NULL))
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
_CREDITED = appending_sql(
    EventType.WALLET_CREDITED,
    "appended",
    "%(id)s::text",
    {
        "seq": "seq",
        "reference_id": "%(reference)s::text",
        "amount_micros": "%(amount)s::bigint",
        "balance_micros": "balance_after_micros",
        "currency": "%(currency)s::text",
    },
)
CREDIT_ALONE = ALONE.replace(
    "    )\n    UPDATE wallets", f"    ), told AS ({_CREDITED})\n    UPDATE wallets"
)
"""A credit is told; a debit never is."""
