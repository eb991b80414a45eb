"""The checks of provider reports: each delivery stored once, each payment booked once, nothing
credited for less.
"""

from db.audit.checks import Check
from domain.wallet import references

_SETTLED = """
            SELECT provider, money_kind, money_id, kind, outcome, handled_at,
                   coalesce(substring(outcome FROM '^booked as (.+)$'), money_id) AS booked_as
            FROM examined.inbox
            WHERE status = 'handled' AND organization_id IS NOT NULL AND money_id IS NOT NULL
              AND outcome NOT LIKE 'not booked%' AND outcome NOT LIKE 'dismissed: %'
        """
"""Deliveries about money that an organization's lifecycle has handled, with the kind of their
booking.
"""
PAYMENT_CHECKS = (
    Check(
        guarantee=4,
        claim="webhook events stored twice",
        sql="""
        SELECT (SELECT count(*) FROM examined.inbox), count(*) FROM (
            SELECT FROM examined.inbox JOIN (
                SELECT provider, event_id FROM examined.inbox GROUP BY provider, event_id HAVING count(*) > 1
            ) several USING (provider, event_id)
            GROUP BY provider, event_id, sha256(body) HAVING count(*) > 1
        ) twice
        """,
    ),
    Check(
        guarantee=4,
        claim="payments that are not booked although their webhook counts as handled",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE p.object_id IS NULL),
               min(i.provider || ' ' || i.money_id) FILTER (WHERE p.object_id IS NULL)
        FROM ({_SETTLED}) i LEFT JOIN payments p ON p.provider = i.provider AND p.object_id = i.booked_as
        WHERE i.kind = 'payment_succeeded' AND i.money_kind IN ('capture', 'sale')
           OR i.money_kind = 'checkout' AND i.outcome LIKE 'booked as %'
        """,
    ),
    Check(
        guarantee=4,
        claim="refunds and disputes that are not booked although their webhook counts as handled",
        # Until the first outcome of a dispute was noted, none was.
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE r.object_id IS NULL),
               min(i.provider || ' ' || i.money_id) FILTER (WHERE r.object_id IS NULL)
        FROM ({_SETTLED}) i LEFT JOIN reversals r ON r.provider = i.provider AND r.object_id = i.booked_as
        WHERE i.kind IN ('refunded', 'reversed') AND i.money_kind = 'refund'
           OR i.money_kind = 'dispute' AND i.handled_at >= (
               SELECT min(handled_at) FROM inbox
               WHERE money_kind = 'dispute' AND status = 'handled' AND outcome ~ '^(not )?booked')
        """,
    ),
    Check(
        guarantee=4,
        claim="webhook events that count as handled although their object is still unknown",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE outcome LIKE 'unknown %'),
               min(provider || ' ' || event_id) FILTER (WHERE outcome LIKE 'unknown %')
        FROM examined.inbox WHERE status = 'handled'
        """,
    ),
    Check(
        guarantee=4,
        claim="paid checkouts without a top-up or an alert",
        sql="""
        SELECT coalesce(sum(paid), 0)::bigint, coalesce(sum(greatest(paid - booked, 0)), 0)::bigint,
               min(organization_id) FILTER (WHERE paid > booked)
        FROM (
            SELECT t.organization_id, count(*) AS paid, (
                SELECT count(*) FROM payments p WHERE p.organization_id = t.organization_id
                    AND p.provider = t.provider AND p.kind IN ('topup', 'returned')) AS booked
            FROM examined.topups t
            WHERE t.status = 'paid' AND NOT EXISTS (
                SELECT FROM alerts a WHERE a.organization_id = t.organization_id AND a.kind = 'payment_not_booked')
                AND NOT EXISTS (SELECT FROM past_alerts a
                                WHERE a.organization_id = t.organization_id AND a.kind = 'payment_not_booked')
            GROUP BY t.organization_id, t.provider
        ) counted
        """,
    ),
    Check(
        guarantee=4,
        claim="top-ups without exactly one credit of their amount",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(provider || ' ' || object_id) FILTER (WHERE wrong)
        FROM (
            SELECT p.provider, p.object_id,
                   e.amount_micros IS DISTINCT FROM p.amount_micros OR w.currency <> p.currency
                   OR p.reference_id <> p.provider || ':' || split_part(p.reference_id, ':', 2) || ':' || p.object_id
                   AS wrong
            FROM examined.payments p LEFT JOIN wallets w USING (organization_id) LEFT JOIN ledger_entries e
                ON e.organization_id = p.organization_id AND e.reference_id = p.reference_id AND e.kind = 'credit'
            WHERE p.kind = 'topup'
        ) topups
        """,
    ),
    Check(
        guarantee=4,
        claim="top-ups that are also credited to another wallet",
        sql="""
        SELECT (SELECT count(*) FROM payments WHERE kind = 'topup'), count(*)
        FROM payments p JOIN ledger_entries e
            ON e.reference_id = p.reference_id AND e.kind = 'credit' AND e.organization_id <> p.organization_id
        WHERE p.kind = 'topup'
        """,
        new=f"""
        SELECT count(*), count(*) FILTER (WHERE p.organization_id <> e.organization_id)
        FROM new_tail e JOIN payments p ON p.provider = split_part(e.reference_id, ':', 1)
             AND p.object_id = substring(e.reference_id FROM '^[^:]*:[^:]*:(.+)$') AND p.reference_id = e.reference_id
        WHERE e.kind = 'credit' AND p.kind = 'topup' AND e.reference_id ~ '^{references.TOPUP}$'
        """,
    ),
    Check(
        guarantee=4,
        claim="credits for payments or returned reversals that are not on record",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', entry ' || seq) FILTER (WHERE wrong)
        FROM (
            SELECT e.organization_id, e.seq, p.object_id IS NULL AND r.object_id IS NULL AS wrong
            FROM examined.ledger_entries e
            LEFT JOIN payments p ON p.organization_id = e.organization_id AND p.reference_id = e.reference_id
            LEFT JOIN reversals r ON r.organization_id = e.organization_id AND r.returned_at IS NOT NULL
                 AND e.reference_id = 'returned:' || r.provider || ':' || r.object_id
            WHERE e.kind = 'credit' AND e.reference_id ~ '^({references.TOPUP}|{references.RETURNED})$'
        ) credits
        """,
    ),
)
