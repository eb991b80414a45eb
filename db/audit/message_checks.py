"""The checks of messages and campaigns: each message is paid once, and campaigns stop and continue
as allowed.
"""

from db.audit.checks import Check
from db.audit.gate_checks import SHUT
from domain.wallet import references

_NAMED = """
    CASE WHEN pg_input_is_valid(split_part(d.reference_id, ':', 2), 'uuid')
         THEN split_part(d.reference_id, ':', 2)::uuid END
"""
"""The id in a debit's reference, which may be the host's own."""
MESSAGE_CHECKS = (
    Check(
        guarantee=2,
        claim="messages that Twilio accepted, or may have accepted, without exactly one "
        "unrefunded debit of their price",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', message ' || id) FILTER (WHERE wrong)
        FROM (
            SELECT m.organization_id, m.id, NOT coalesce(
                d.amount_micros = -m.price_micros AND (m.status = 'reserved' OR d.created_at <= m.sending_at)
                AND r.seq IS NULL, false) AS wrong
            FROM examined.messages m
            LEFT JOIN examined.ledger_entries d ON d.organization_id = m.organization_id AND d.kind = 'debit'
                AND d.reference_id = 'message:' || m.id || ':' || m.attempt  -- unique: there is one or none
            LEFT JOIN ledger_entries r ON r.organization_id = d.organization_id AND r.refunds = d.reference_id
            WHERE m.status IN ('reserved', 'sending', 'accepted', 'unknown')
        ) taken
        """,
    ),
    Check(
        guarantee=2,
        claim="debits of missing messages, or of no attempt and not fully refunded",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', entry ' || seq) FILTER (WHERE wrong)
        FROM (
            SELECT d.organization_id, d.seq,
                   CASE WHEN m.id IS NULL THEN d.reference_id ~ '^{references.MESSAGE}$'  -- or the host's own
                        ELSE (split_part(d.reference_id, ':', 3) <> m.attempt::text
                              OR m.status NOT IN ('reserved', 'sending', 'accepted', 'unknown'))
                             AND r.amount_micros IS DISTINCT FROM -d.amount_micros END AS wrong
            FROM examined.ledger_entries d
            LEFT JOIN examined.messages m ON m.organization_id = d.organization_id AND m.id = {_NAMED}
                AND m.id::text = split_part(d.reference_id, ':', 2)  -- not in capitals, say
            LEFT JOIN ledger_entries r ON r.organization_id = d.organization_id AND r.refunds = d.reference_id
            WHERE d.kind = 'debit' AND d.reference_id LIKE 'message:%'
        ) debits
        """,
    ),
    Check(
        guarantee=2,
        claim="earlier attempts that were not paid for before they were sent, or not fully "
        "refunded",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', message ' || id) FILTER (WHERE wrong)
        FROM (
            SELECT a.organization_id, a.message_id AS id, NOT coalesce(
                d.created_at <= a.sending_at AND r.amount_micros = -d.amount_micros, false) AS wrong
            FROM examined.attempts a
            LEFT JOIN examined.ledger_entries d ON d.organization_id = a.organization_id AND d.kind = 'debit'
                AND d.reference_id = 'message:' || a.message_id || ':' || a.attempt
            LEFT JOIN ledger_entries r ON r.organization_id = d.organization_id AND r.refunds = d.reference_id
        ) earlier
        """,
    ),
    Check(
        guarantee=2,
        claim="messages that Twilio sent, but that are neither paid for nor recorded as unpaid",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', message ' || id) FILTER (WHERE wrong)
        FROM (
            SELECT organization_id, id,
                   delivery_status NOT IN ('failed', 'undelivered', 'canceled')
                   OR provider_sid IS NOT NULL AND (status <> 'refused' OR delivery_status IS NULL) AS wrong
            FROM examined.messages m WHERE status IN ('pending', 'reserved', 'refused', 'lost', 'skipped')
              AND NOT EXISTS (
                  SELECT FROM unpaid_sends u WHERE u.organization_id = m.organization_id AND u.message_id = m.id
                      AND u.attempt = m.attempt AND u.message_sid = m.provider_sid
                      AND m.status IN ('refused', 'lost'))
        ) unpaid
        """,
    ),
    Check(
        guarantee=2,
        claim="messages charged after their refund without exactly one debit, or such debits "
        "without a message",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', ' || name) FILTER (WHERE wrong)
        FROM (
            SELECT organization_id, name, u.charged_at IS NULL OR e.price IS NULL AS wrong
            FROM (
                SELECT organization_id, 'charge:message:' || message_id || ':' || attempt AS name, charged_at
                FROM examined.unpaid_sends
            ) u FULL JOIN (
                SELECT organization_id, reference_id AS name, amount_micros AS price
                FROM examined.ledger_entries WHERE kind = 'debit' AND reference_id ~ '^{references.CHARGE}$'
            ) e USING (organization_id, name)
            WHERE u.charged_at IS NOT NULL OR e.price IS NOT NULL
        ) charged
        """,
    ),
    Check(
        guarantee=2,
        claim="messages that Twilio lists, and no message here stands for or paid: see `tollgate "
        "unmatched list`",
        sql="""
        SELECT (SELECT count(*) FROM unmatched_messages), count(*), min(organization_id || ', ' || message_sid)
        FROM unmatched_messages WHERE listed AND closed_at IS NULL
        """,
    ),
    Check(
        guarantee=4,
        claim="messages recorded as sent after their refund, although their debit was never "
        "refunded",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE r.seq IS NULL),
               min(u.organization_id || ', message ' || u.message_id) FILTER (WHERE r.seq IS NULL)
        FROM examined.unpaid_sends u LEFT JOIN ledger_entries r ON r.organization_id = u.organization_id
             AND r.refunds = 'message:' || u.message_id || ':' || u.attempt
        """,
    ),
    Check(
        guarantee=2,
        claim="messages handed over while the gate was shut",
        sql=f"""
        WITH intervals AS ({SHUT})
        SELECT (SELECT count(*) FROM intervals WHERE change = 'shut'), count(*),
               min(m.organization_id || ', message ' || m.id)
        FROM intervals i CROSS JOIN LATERAL (  -- one by one, by an index
            SELECT organization_id, id FROM messages m WHERE m.organization_id = i.organization_id
                AND m.sending_at > i.from_at AND m.sending_at < coalesce(i.to_at, 'infinity')
            UNION ALL
            SELECT organization_id, message_id FROM attempts a WHERE a.organization_id = i.organization_id
                AND a.sending_at > i.from_at AND a.sending_at < coalesce(i.to_at, 'infinity')
            OFFSET 0
        ) m
        WHERE i.change = 'shut'
        """,
    ),
    Check(
        guarantee=4,
        claim="campaigns with missing or duplicate messages",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', campaign ' || id) FILTER (WHERE wrong)
        FROM (
            SELECT c.organization_id, c.id,
                   c.total <> coalesce(m.number, 0) OR c.total <> coalesce(m.last, 0) OR coalesce(m.first, 1) <> 1
                   AS wrong
            FROM campaigns c LEFT JOIN (
                SELECT organization_id, campaign_id, count(*) AS number, min(position) AS first, max(position) AS last
                FROM messages WHERE campaign_id IS NOT NULL GROUP BY organization_id, campaign_id
            ) m ON m.organization_id = c.organization_id AND m.campaign_id = c.id
        ) counted
        """,
        # of a campaign that changed, but was made before, only whether its last message is there
        new="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', campaign ' || id) FILTER (WHERE wrong)
        FROM (
            SELECT c.organization_id, c.id, c.total <> m.last OR c.created_at >= s.since
                   AND c.total <> (SELECT count(*) FROM messages m WHERE m.organization_id = c.organization_id
                                   AND m.campaign_id = c.id AND m.position BETWEEN 1 AND c.total) AS wrong
            FROM new_campaigns c CROSS JOIN new_since s CROSS JOIN LATERAL (
                SELECT coalesce(max(position), 0) AS last FROM messages m
                WHERE m.organization_id = c.organization_id AND m.campaign_id = c.id
            ) m
        ) counted
        """,
    ),
    Check(
        guarantee=5,
        claim="campaigns running in organizations whose suspension is applied",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE c.status = 'running')
        FROM standings s JOIN campaigns c USING (organization_id)
        WHERE s.status = 'suspended' AND s.applied_epoch = s.epoch
        """,
        new="""
        SELECT count(*), count(*) FILTER (WHERE s.status = 'suspended' AND s.applied_epoch = s.epoch)
        FROM campaigns c JOIN standings s USING (organization_id) WHERE c.status = 'running'
        """,
    ),
    Check(
        guarantee=5,
        claim="campaigns whose status differs from the last recorded change, or whose changes do "
        "not follow from each other",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id || ', campaign ' || id) FILTER (WHERE wrong)
        FROM (
            SELECT c.organization_id, c.id,
                   c.status <> coalesce(h.last, 'draft') OR coalesce(h.broken, false) AS wrong
            FROM examined.campaigns c LEFT JOIN (
                SELECT organization_id, campaign_id, (array_agg(to_status ORDER BY id DESC))[1] AS last,
                       bool_or(from_status <> before) AS broken
                FROM (
                    SELECT *, lag(to_status, 1, 'draft') OVER (PARTITION BY organization_id, campaign_id ORDER BY id)
                              AS before
                    FROM examined.campaign_changes
                ) changes GROUP BY organization_id, campaign_id
            ) h ON h.organization_id = c.organization_id AND h.campaign_id = c.id
        ) compared
        """,
    ),
    Check(
        guarantee=6,
        claim="campaigns that a person paused and Tollgate resumed",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE from_status = 'paused')
        FROM examined.campaign_changes WHERE to_status = 'running' AND by = 'tollgate'
        """,
    ),
    Check(
        guarantee=6,
        claim="campaigns resumed by Tollgate while the gate was shut",
        sql=f"""
        WITH intervals AS ({SHUT})
        SELECT (SELECT count(*) FROM examined.campaign_changes WHERE to_status = 'running' AND by = 'tollgate'),
               count(*) FROM intervals i JOIN examined.campaign_changes c
                   ON c.organization_id = i.organization_id AND c.to_status = 'running' AND c.by = 'tollgate'
                   AND c.at > i.from_at AND (i.to_at IS NULL OR c.at < i.to_at)
        WHERE i.change = 'shut'
        """,
    ),
)
