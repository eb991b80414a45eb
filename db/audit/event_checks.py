"""The check that what happened and what was told are the same: from the beginning of the log of
events on.
"""

from db.audit.checks import Check

MARGIN = "interval '1 hour'"
"""Facts have the time of a process, events that of the database."""
FACTS = """
    SELECT 'organization.suspended' AS type, organization_id, epoch::text AS key, decided_at AS at
    FROM examined.receipts WHERE status = 'suspended'
    UNION ALL
    SELECT 'organization.reactivated', organization_id, epoch::text, finished_at
    FROM examined.receipts WHERE status = 'active' AND finished_at IS NOT NULL
    UNION ALL
    SELECT 'standing.applied', organization_id, epoch::text, finished_at
    FROM examined.receipts WHERE finished_at IS NOT NULL
    UNION ALL
    SELECT 'wallet.credited', organization_id, seq::text, created_at
    FROM examined.ledger_entries WHERE kind = 'credit'
    UNION ALL
    SELECT 'topup.paid', organization_id, provider || ':' || object_id, booked_at
    FROM examined.payments WHERE kind = 'topup'
"""
TOLD = """
    SELECT type, organization_id, occurred_at,
           coalesce(data ->> 'epoch', data ->> 'seq', (data ->> 'provider') || ':' || (data ->> 'payment_id')) AS key
    FROM examined.events
    WHERE type IN ('organization.suspended', 'organization.reactivated', 'standing.applied', 'wallet.credited',
                   'topup.paid')
"""
_ALL = f"""
    WITH facts AS ({FACTS}), told AS (
        SELECT type, organization_id, key, count(*) AS times, max(occurred_at) AS at
        FROM ({TOLD}) told GROUP BY type, organization_id, key
    )
    SELECT count(*), count(*) FILTER (WHERE wrong),
           min(type || ' of ' || organization_id || ', ' || key) FILTER (WHERE wrong)
    FROM (
        SELECT type, organization_id, key, facts.at IS NULL OR told.times IS DISTINCT FROM 1 AS wrong
        FROM facts FULL JOIN told USING (type, organization_id, key)
        WHERE coalesce(facts.at, told.at) >= (SELECT at + {MARGIN} FROM event_log_start)
    ) compared
"""
_NEW = f"""
    WITH log AS (SELECT greatest(start.at + {MARGIN}, s.since) AS since FROM event_log_start start, new_since s),
    facts AS ({FACTS}), told AS MATERIALIZED ({TOLD}), untold AS (
        SELECT facts.*, count(told.key) <> 1 AS wrong
        FROM (SELECT facts.* FROM facts, log WHERE facts.at >= log.since) facts
        LEFT JOIN told USING (type, organization_id, key)
        GROUP BY facts.type, facts.organization_id, facts.key, facts.at
    ), invented AS (
        SELECT type, organization_id, key, occurred_at, CASE
            WHEN type = 'wallet.credited' THEN NOT EXISTS (
                SELECT FROM ledger_entries e
                WHERE e.organization_id = told.organization_id AND e.seq = key::bigint AND e.kind = 'credit')
            WHEN type = 'topup.paid' THEN NOT EXISTS (
                SELECT FROM payments p
                WHERE p.organization_id = told.organization_id AND p.provider = split_part(key, ':', 1)
                  AND p.object_id = substr(key, strpos(key, ':') + 1) AND p.kind = 'topup')
            ELSE NOT EXISTS (
                SELECT FROM receipts r
                WHERE r.organization_id = told.organization_id AND r.epoch = key::bigint
                  AND CASE type WHEN 'organization.suspended' THEN r.status = 'suspended'
                                WHEN 'organization.reactivated' THEN r.status = 'active' AND r.finished_at IS NOT NULL
                                ELSE r.finished_at IS NOT NULL END)
            END AS wrong
        FROM told WHERE occurred_at >= (SELECT since FROM log)
    )
    SELECT count(*), count(*) FILTER (WHERE wrong),
           min(type || ' of ' || organization_id || ', ' || key) FILTER (WHERE wrong)
    FROM (
        SELECT type, organization_id, key, wrong FROM untold
        UNION ALL SELECT type, organization_id, key, wrong FROM invented
    ) compared
"""

EVENT_CHECKS = (
    Check(
        guarantee=3,
        claim="suspensions, reactivations, credits and top-ups without exactly one event, or such "
        "events without their fact",
        sql=_ALL,
        new=_NEW,
    ),
)
