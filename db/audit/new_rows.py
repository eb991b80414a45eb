"""What is new since a checkpoint, as temporary tables `new_x` with rows of the table `x`: what the
checks read as `examined.x`.

Entries are found by the chain of seals, so none is left out, whenever it was committed. Other rows
are found by their times, by the entries that name them, and by the rows that belong to them.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_UUID = len("00000000-0000-0000-0000-000000000000")
_OF_ORGANIZATIONS = """
    SELECT t.* FROM new_organizations n CROSS JOIN LATERAL (
        SELECT * FROM {table} t WHERE t.organization_id = n.organization_id OFFSET 0) t
"""
_OF_MESSAGES = """
    SELECT t.* FROM new_message_ids n CROSS JOIN LATERAL (
        SELECT * FROM {table} t WHERE t.organization_id = n.organization_id AND t.message_id = n.id OFFSET 0) t
"""
TABLES = {
    "checkpoints": "SELECT * FROM checkpoints ORDER BY id DESC LIMIT 2",
    "since": "SELECT CAST(:since AS timestamptz) AS since, CAST(:link AS bigint) AS link",
    # each wallet with new entries, and the entry and the link up to which it is verified
    "bounds": """
        SELECT w.organization_id, w.balance_micros, w.entries, coalesce(b.seq, 0) AS from_seq,
               CASE WHEN b.seq IS NULL THEN 0 ELSE e.balance_after_micros END AS from_micros,
               e.bytes AS from_bytes, b.number AS from_number, b.sha256 AS from_sha256
        FROM (SELECT organization_id FROM ledger_heads WHERE number > :link
              UNION SELECT organization_id FROM ledger_entries WHERE created_at >= :since
              ORDER BY organization_id) touched
        JOIN wallets w USING (organization_id)
        LEFT JOIN LATERAL (
            SELECT h.seq, h.number, h.sha256 FROM ledger_heads h
            WHERE h.organization_id = w.organization_id AND h.number <= :link ORDER BY h.seq DESC LIMIT 1
        ) b ON true
        LEFT JOIN LATERAL (
            SELECT l.balance_after_micros, ledger_entry_bytes(l) AS bytes FROM ledger_entries l
            WHERE l.organization_id = w.organization_id AND l.seq = b.seq LIMIT 1
        ) e ON true
    """,
    "tail": """
        SELECT l.* FROM new_bounds n CROSS JOIN LATERAL (
            SELECT * FROM ledger_entries l
            WHERE l.organization_id = n.organization_id AND l.seq > n.from_seq OFFSET 0) l
    """,
    # with the seal before the last verified one
    "seals": """
        SELECT s.* FROM new_bounds n CROSS JOIN LATERAL (
            SELECT * FROM ledger_seals s
            WHERE s.organization_id = n.organization_id AND s.seq >= n.from_seq - 1 OFFSET 0) s
    """,
    "message_ids": f"""
        SELECT organization_id, id FROM messages WHERE sending_at >= :since OR settled_at >= :since
        UNION SELECT organization_id, id FROM messages WHERE status IN ('sending', 'unknown')
        UNION SELECT organization_id, message_id FROM attempts WHERE ended_at >= :since
        UNION SELECT organization_id, message_id FROM unpaid_sends WHERE found_at >= :since OR charged_at >= :since
        UNION SELECT organization_id, id::uuid FROM (
            SELECT organization_id, CASE WHEN name LIKE 'message:%' THEN substr(name, {len("message:") + 1}, {_UUID})
                                         WHEN name LIKE 'charge:message:%'
                                         THEN substr(name, {len("charge:message:") + 1}, {_UUID}) END AS id
            FROM (SELECT organization_id, coalesce(refunds, reference_id) AS name FROM new_tail) named
        ) messages_of_entries
        WHERE pg_input_is_valid(id, 'uuid')
        ORDER BY organization_id, id
    """,
    "messages": """
        SELECT m.* FROM new_message_ids n CROSS JOIN LATERAL (
            SELECT * FROM messages m WHERE m.organization_id = n.organization_id AND m.id = n.id LIMIT 1) m
    """,
    "attempts": _OF_MESSAGES.format(table="attempts"),
    "unpaid_sends": _OF_MESSAGES.format(table="unpaid_sends"),
    # with the debits of the messages' attempts; an attempt is charged if it came to nothing
    "ledger_entries": """
        SELECT * FROM new_tail UNION ALL
        SELECT e.* FROM (
            SELECT organization_id, kind || m.id || ':' || number AS reference_id
            FROM new_messages m CROSS JOIN generate_series(1, m.attempt) AS number
            CROSS JOIN (VALUES ('message:'), ('charge:message:')) AS kinds (kind)
            WHERE kind = 'message:' OR number < m.attempt
               OR m.status NOT IN ('reserved', 'sending', 'accepted', 'unknown')
            EXCEPT SELECT organization_id, reference_id FROM new_tail
        ) n CROSS JOIN LATERAL (
            SELECT * FROM ledger_entries l
            WHERE l.organization_id = n.organization_id AND l.reference_id = n.reference_id LIMIT 1) e
    """,
    "campaigns": """
        SELECT c.* FROM (
            SELECT organization_id, id FROM campaigns WHERE created_at >= :since
            UNION SELECT organization_id, campaign_id FROM campaign_changes WHERE at >= :since
        ) n CROSS JOIN LATERAL (
            SELECT * FROM campaigns c WHERE c.organization_id = n.organization_id AND c.id = n.id LIMIT 1) c
    """,
    "campaign_changes": """
        SELECT h.* FROM new_campaigns c CROSS JOIN LATERAL (
            SELECT * FROM campaign_changes h
            WHERE h.organization_id = c.organization_id AND h.campaign_id = c.id OFFSET 0) h
    """,
    "organizations": """
        SELECT organization_id FROM gate_changes WHERE at >= :since
        UNION SELECT organization_id FROM receipts WHERE decided_at >= :since OR finished_at >= :since
        UNION SELECT organization_id FROM standings WHERE decided_at >= :since OR applied_at >= :since
        UNION SELECT organization_id FROM new_bounds
        UNION SELECT organization_id FROM new_message_ids
        UNION SELECT organization_id FROM new_campaigns
        ORDER BY organization_id
    """,
    "wallets": _OF_ORGANIZATIONS.format(table="wallets"),
    "standings": _OF_ORGANIZATIONS.format(table="standings"),
    "gate_changes": _OF_ORGANIZATIONS.format(table="gate_changes"),
    "receipts": _OF_ORGANIZATIONS.format(table="receipts"),
    # and a few earlier ones: an event has the database's time, and its fact that of a process
    "events": "SELECT * FROM events WHERE occurred_at >= CAST(:since AS timestamptz) - interval '1 hour'",
    # with every other body of the same event
    "inbox": """
        SELECT i.* FROM (
            SELECT DISTINCT provider, event_id FROM inbox WHERE received_at >= :since OR handled_at >= :since
        ) n CROSS JOIN LATERAL (
            SELECT * FROM inbox i WHERE i.provider = n.provider AND i.event_id = n.event_id OFFSET 0) i
    """,
    "topups": """
        SELECT t.* FROM (SELECT DISTINCT organization_id FROM topups WHERE settled_at >= :since) n
        CROSS JOIN LATERAL (
            SELECT * FROM topups t WHERE t.organization_id = n.organization_id OFFSET 0) t
    """,
    "payments": """
        SELECT * FROM payments WHERE booked_at >= :since
        UNION SELECT p.* FROM new_tail e CROSS JOIN LATERAL (
            SELECT * FROM payments p WHERE p.organization_id = e.organization_id AND p.reference_id = e.reference_id
            OFFSET 0) p
        WHERE e.kind = 'credit'
    """,
    "reversals": """
        SELECT r.* FROM (
            SELECT organization_id FROM reversals WHERE booked_at >= :since OR returned_at >= :since
            UNION SELECT organization_id FROM payments WHERE booked_at >= :since
            UNION SELECT organization_id FROM money_changes WHERE at >= :since AND change = 'debt_waived'
            UNION SELECT organization_id FROM new_tail
            WHERE kind IN ('reversal', 'recovery') OR kind = 'credit' AND reference_id LIKE 'returned:%'
        ) n CROSS JOIN LATERAL (
            SELECT * FROM reversals r WHERE r.organization_id = n.organization_id OFFSET 0) r
    """,
    "reserves": """
        SELECT r.* FROM (
            SELECT organization_id FROM reserves WHERE changed_at >= :since
            UNION SELECT organization_id FROM money_changes
            WHERE at >= :since AND change IN ('reserve_held', 'reserve_released')
        ) n CROSS JOIN LATERAL (
            SELECT * FROM reserves r WHERE r.organization_id = n.organization_id LIMIT 1) r
    """,
    "carrier_debts": """
        SELECT d.* FROM (
            SELECT organization_id FROM carrier_debts WHERE booked_at >= :since
            UNION SELECT organization_id FROM money_changes
            WHERE at >= :since AND change IN ('debt_waived', 'waiver_reduced')
            UNION SELECT organization_id FROM new_tail WHERE kind IN ('recovery', 'carrier_charge', 'carrier_refund')
        ) n CROSS JOIN LATERAL (
            SELECT * FROM carrier_debts d WHERE d.organization_id = n.organization_id OFFSET 0) d
    """,
    # with all of their batch
    "segment_differences": """
        SELECT d.* FROM (
            SELECT DISTINCT organization_id, batch FROM segment_differences WHERE found_at >= :since
            UNION SELECT organization_id, CAST(split_part(reference_id, 'segments:', 2) AS uuid) FROM new_tail
            WHERE kind IN ('carrier_charge', 'credit') AND reference_id ~ '^(carrier:)?segments:[0-9a-f-]{36}$'
        ) n CROSS JOIN LATERAL (
            SELECT * FROM segment_differences d
            WHERE d.organization_id = n.organization_id AND d.batch = n.batch OFFSET 0) d
    """,
    "foreign_charges": """
        SELECT c.* FROM (
            SELECT organization_id, id FROM foreign_charges WHERE charged_at >= :since OR returned_at >= :since
            UNION SELECT organization_id, CAST(split_part(reference_id, 'foreign:', 2) AS bigint) FROM new_tail
            WHERE kind IN ('carrier_charge', 'carrier_refund')
              AND reference_id ~ '^carrier(-refund)?:foreign:[0-9]{1,18}$'
        ) n CROSS JOIN LATERAL (
            SELECT * FROM foreign_charges c WHERE c.organization_id = n.organization_id AND c.id = n.id LIMIT 1) c
    """,
    "carrier_usage": "SELECT * FROM carrier_usage WHERE read_at >= :since",
    "carrier_charges": """
        SELECT * FROM carrier_charges WHERE charged_at >= :since
        UNION SELECT c.* FROM new_tail e CROSS JOIN LATERAL (
            SELECT * FROM carrier_charges c WHERE c.organization_id = e.organization_id
                AND c.reference_id = substring(e.reference_id FROM '^carrier(?:-refund)?:(.*)$') OFFSET 0) c
        WHERE e.kind IN ('carrier_charge', 'carrier_refund')
    """,
    "money_changes": """
        SELECT m.* FROM (
            SELECT organization_id, reference_id, false AS waived FROM holds
            WHERE created_at >= :since OR closed_at >= :since
            UNION SELECT organization_id, reference_id, change IN ('debt_waived', 'waiver_reduced') FROM money_changes
            WHERE at >= :since
            UNION SELECT organization_id, provider || ':' || object_id, true FROM new_reversals
            UNION SELECT organization_id, reference_id, true FROM new_carrier_debts
        ) n CROSS JOIN LATERAL (
            SELECT * FROM money_changes m
            WHERE m.organization_id = n.organization_id AND m.reference_id = n.reference_id OFFSET 0) m
        WHERE waived = (m.change IN ('debt_waived', 'waiver_reduced'))
    """,
    "holds": """
        SELECT * FROM holds WHERE created_at >= :since OR closed_at >= :since
        UNION SELECT h.* FROM (
            SELECT DISTINCT organization_id, reference_id FROM new_money_changes WHERE change LIKE 'hold%'
        ) n JOIN holds h USING (organization_id, reference_id)
    """,
}
"""In this order: later ones read earlier ones. OFFSET and LIMIT keep look-ups one by one, by an index:
a join would be planned for a table that was as small as it was when somebody last counted its rows.
ORDER BY lets them follow the indexes, which takes a third less time.
"""


async def find(conn: AsyncConnection, *, link: int, since: datetime) -> None:
    """Makes the tables, until the end of the transaction: what was sealed behind the link, and what
    happened since.
    """
    # the number of rows is what matters
    await conn.execute(text("SET LOCAL default_statistics_target = 1"))
    for name, query in TABLES.items():
        made = text(f"CREATE TEMPORARY TABLE new_{name} ON COMMIT DROP AS {query}")
        await conn.execute(made, {"link": link, "since": since})
        await conn.execute(text(f"ANALYZE new_{name}"))
