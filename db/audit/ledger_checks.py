"""The checks of the ledger itself: wallets, entries, seals and holds."""

from db.audit.checks import Check

FIRST_ENTRY = """
    (array_agg(organization_id || ', entry ' || seq ORDER BY organization_id, seq) FILTER (WHERE wrong))[1]
"""
_ONCE = "OFFSET 0"
"""Otherwise each hash is computed for the count and again for the first that is wrong."""
_UNIQUE = """EXISTS (
                SELECT FROM pg_index i
                WHERE i.indrelid = 'ledger_entries'::regclass AND i.indisunique AND i.indisvalid AND i.indislive
                  AND pg_get_indexdef(i.indexrelid)
                      ~ '[(]organization_id, {column}[)]( WHERE [(]{column} IS NOT NULL[)])?$')"""
"""Whether a valid unique index refuses a second entry of the same name."""
LEDGER_CHECKS = (
    Check(
        guarantee=1,
        claim="wallets with a negative balance",
        sql="SELECT count(*), count(*) FILTER (WHERE balance_micros < 0 OR balance_micros < "
        "held_micros) FROM wallets",
    ),
    Check(
        guarantee=1,
        claim="wallets whose entries do not add up to their balance",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE w.balance_micros <> coalesce(e.total, 0)
                                             OR w.entries <> coalesce(e.number, 0)),
               min(w.organization_id) FILTER (WHERE w.balance_micros <> coalesce(e.total, 0)
                                                 OR w.entries <> coalesce(e.number, 0))
        FROM wallets w LEFT JOIN (
            SELECT organization_id, sum(amount_micros) AS total, count(*) AS number
            FROM ledger_entries GROUP BY organization_id
        ) e USING (organization_id)
        """,
        # of the other wallets, that their last entry has their balance
        new="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id) FILTER (WHERE wrong)
        FROM (
            SELECT organization_id, (b.from_micros + coalesce(e.total, 0), b.from_seq + coalesce(e.number, 0))
                                    IS DISTINCT FROM (b.balance_micros, b.entries) AS wrong
            FROM new_bounds b LEFT JOIN (
                SELECT organization_id, sum(amount_micros) AS total, count(*) AS number
                FROM new_tail GROUP BY organization_id
            ) e USING (organization_id)
            UNION ALL
            SELECT w.organization_id, (w.entries, w.balance_micros)
                                      IS DISTINCT FROM (coalesce(e.seq, 0), coalesce(e.balance_after_micros, 0))
            FROM (
                SELECT organization_id, entries, balance_micros FROM wallets w
                WHERE NOT EXISTS (SELECT FROM new_bounds b WHERE b.organization_id = w.organization_id)
                ORDER BY organization_id  -- in the order of the index
            ) w LEFT JOIN LATERAL (
                SELECT seq, balance_after_micros FROM ledger_entries l
                WHERE l.organization_id = w.organization_id ORDER BY seq DESC LIMIT 1
            ) e ON true
        ) wallets_of_both
        """,
    ),
    Check(
        guarantee=1,
        claim="entries whose balance does not follow from the previous entry",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), {FIRST_ENTRY}
        FROM (
            SELECT organization_id, seq, seq <> row_number() OVER w
                   OR balance_after_micros <> amount_micros + coalesce(lag(balance_after_micros) OVER w, 0) AS wrong
            FROM ledger_entries WINDOW w AS (PARTITION BY organization_id ORDER BY seq)
        ) entries
        """,
        new=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), {FIRST_ENTRY}
        FROM (
            SELECT organization_id, seq, (seq, balance_after_micros) IS DISTINCT FROM
                   (from_seq + row_number() OVER w,
                    amount_micros + lag(balance_after_micros, 1, from_micros) OVER w) AS wrong
            FROM new_tail JOIN new_bounds USING (organization_id)
            WINDOW w AS (PARTITION BY organization_id ORDER BY seq)
        ) entries
        """,
    ),
    Check(
        guarantee=1,
        claim="sealed entries that are missing or changed",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), {FIRST_ENTRY}
        FROM (
            SELECT s.organization_id, s.seq, s.seq <> s.number OR e.seq IS NULL
                   OR s.sha256 <> sha256(coalesce(s.before, decode(repeat('00', 32), 'hex')) || ledger_entry_bytes(e))
                   AS wrong
            FROM (
                SELECT organization_id, seq, sha256, lag(sha256) OVER w AS before, row_number() OVER w AS number
                FROM ledger_seals WINDOW w AS (PARTITION BY organization_id ORDER BY seq)
            ) s LEFT JOIN ledger_entries e USING (organization_id, seq)
            {_ONCE}
        ) sealed
        """,
        # with the entry up to which a wallet is verified; the seal before it lends its hash
        new=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), {FIRST_ENTRY}
        FROM (
            SELECT organization_id, seq, s.seq <> s.follows OR entry.bytes IS NULL
                   OR s.sha256 <> sha256(coalesce(s.before, decode(repeat('00', 32), 'hex')) || entry.bytes) AS wrong
            FROM (
                SELECT b.organization_id, b.from_seq, b.from_bytes, s.seq, s.sha256, lag(s.sha256) OVER w AS before,
                       lag(s.seq, 1, 0::bigint) OVER w + 1 AS follows
                FROM new_bounds b JOIN new_seals s USING (organization_id)
                WINDOW w AS (PARTITION BY b.organization_id ORDER BY s.seq)
            ) s LEFT JOIN new_tail e USING (organization_id, seq) CROSS JOIN LATERAL (
                SELECT CASE WHEN s.seq = s.from_seq THEN s.from_bytes
                            WHEN e.seq IS NOT NULL THEN ledger_entry_bytes(ROW(e.*)::ledger_entries) END AS bytes
                OFFSET 0
            ) entry
            WHERE s.seq >= s.from_seq
            {_ONCE}
        ) sealed
        """,
    ),
    Check(
        guarantee=1,
        claim="links of the chain over all wallets that are missing or changed",
        sql=f"""
        WITH changes AS (
            SELECT organization_id, after_seq, 1 AS kind, id, gate_change_text(g) AS said FROM gate_changes g
            UNION ALL SELECT organization_id, after_seq, 2, id, money_change_text(m) FROM money_changes m
        ), histories AS (
            SELECT organization_id, seq, string_agg(said, '' ORDER BY kind, id) AS history
            FROM (
                SELECT c.*, (SELECT min(h.seq) FROM ledger_heads h
                             WHERE h.organization_id = c.organization_id AND h.seq > c.after_seq) AS seq
                FROM changes c
            ) placed GROUP BY organization_id, seq
        )
        SELECT count(*), count(*) FILTER (WHERE wrong),
               (array_agg('link ' || number || ', of ' || organization_id ORDER BY number) FILTER (WHERE wrong))[1]
        FROM (
            SELECT h.number, organization_id, h.number <> h.place OR s.seq IS NULL
                   OR h.sha256 <> sha256(coalesce(h.before, decode(repeat('00', 32), 'hex'))
                                         || head_bytes(organization_id, seq, s.sha256, coalesce(history, ''))) AS wrong
            FROM (
                SELECT *, lag(sha256) OVER w AS before, row_number() OVER w AS place
                FROM ledger_heads WINDOW w AS (ORDER BY number)
            ) h LEFT JOIN ledger_seals s USING (organization_id, seq) LEFT JOIN histories USING (organization_id, seq)
            {_ONCE}
        ) links
        """,
        # with the links up to which wallets are verified
        new=f"""
        WITH links AS MATERIALIZED (
            SELECT h.* FROM (
                SELECT h.number, h.organization_id, h.seq, h.sha256,
                       CASE WHEN lag(h.number) OVER chain = h.number - 1 THEN lag(h.sha256) OVER chain END AS before,
                       lag(h.seq, 1, coalesce(b.from_seq, 0)) OVER of_wallet AS last_seq
                FROM (SELECT * FROM new_since JOIN ledger_heads ON number >= link) h
                LEFT JOIN new_bounds b USING (organization_id)
                WINDOW chain AS (ORDER BY h.number), of_wallet AS (PARTITION BY h.organization_id ORDER BY h.seq)
            ) h JOIN new_since ON number > link
            UNION ALL
            SELECT b.from_number, b.organization_id, b.from_seq, b.from_sha256, before.sha256, coalesce(last.seq, 0)
            FROM new_bounds b
            LEFT JOIN LATERAL (SELECT sha256 FROM ledger_heads WHERE number = b.from_number - 1 LIMIT 1) before ON true
            LEFT JOIN LATERAL (
                SELECT seq FROM ledger_heads l WHERE l.organization_id = b.organization_id AND l.seq < b.from_seq
                ORDER BY seq DESC LIMIT 1
            ) last ON true
            WHERE b.from_number IS NOT NULL
        ), histories AS (
            SELECT number, string_agg(said, '' ORDER BY kind, id) AS history FROM (
                SELECT h.number, 1 AS kind, c.id, gate_change_text(ROW(c.*)::gate_changes) AS said
                FROM links h JOIN new_gate_changes c USING (organization_id)
                WHERE c.after_seq >= h.last_seq AND c.after_seq < h.seq
                UNION ALL
                SELECT h.number, 2, c.id, money_change_text(c) FROM links h CROSS JOIN LATERAL (
                    SELECT * FROM money_changes m WHERE m.organization_id = h.organization_id
                        AND m.after_seq >= h.last_seq AND m.after_seq < h.seq OFFSET 0) c
            ) changes GROUP BY number
        )
        SELECT count(*), count(*) FILTER (WHERE wrong),
               (array_agg('link ' || number || ', of ' || organization_id ORDER BY number) FILTER (WHERE wrong))[1]
        FROM (
            SELECT number, organization_id, (before IS NULL) <> (number = 1) OR s.seq IS NULL
                   OR h.sha256 <> sha256(coalesce(before, decode(repeat('00', 32), 'hex'))
                                         || head_bytes(organization_id, seq, s.sha256, coalesce(history, ''))) AS wrong
            FROM links h LEFT JOIN new_seals s USING (organization_id, seq) LEFT JOIN histories USING (number)
            {_ONCE}
        ) links
        """,
    ),
    Check(
        guarantee=1,
        claim="holds that differ from the record of their opening and closing",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong),
               min(organization_id || ', ' || reference_id) FILTER (WHERE wrong)
        FROM (
            SELECT organization_id, reference_id, h.status IS NULL OR c.openings > 0 AND NOT coalesce(
                c.openings = 1 AND c.opened = h.amount_micros
                AND CASE h.status WHEN 'open' THEN c.endings = 0
                        ELSE c.endings = 1 AND c.ending = 'hold_' || h.status
                             AND c.ended = CASE h.status WHEN 'captured' THEN h.captured_micros
                                                         ELSE h.amount_micros END
                    END
                AND (h.status <> 'expired' OR h.closed_at >= h.expires_at), false) AS wrong
            FROM examined.holds h FULL JOIN (
                SELECT organization_id, reference_id,
                       count(*) FILTER (WHERE change = 'hold_opened') AS openings,
                       sum(amount_micros) FILTER (WHERE change = 'hold_opened') AS opened,
                       count(*) FILTER (WHERE change <> 'hold_opened') AS endings,
                       max(change) FILTER (WHERE change <> 'hold_opened') AS ending,
                       sum(amount_micros) FILTER (WHERE change <> 'hold_opened') AS ended
                FROM examined.money_changes WHERE change LIKE 'hold%' GROUP BY organization_id, reference_id
            ) c USING (organization_id, reference_id)
        ) compared
        """,
    ),
    Check(
        guarantee=1,
        claim="wallets whose open holds and reserve do not add up to their held amount",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE w.held_micros <> coalesce(h.total, 0) + coalesce(r.held_micros, 0))
        FROM wallets w LEFT JOIN (
            SELECT organization_id, sum(amount_micros) AS total FROM holds WHERE status = 'open'
            GROUP BY organization_id
        ) h USING (organization_id) LEFT JOIN reserves r USING (organization_id)
        """,
    ),
    Check(
        guarantee=1,
        claim="reserves that differ from the record of their changes",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE held_micros <> noted),
               min(organization_id) FILTER (WHERE held_micros <> noted)
        FROM (
            SELECT organization_id, held_micros, (
                SELECT coalesce(sum(CASE change WHEN 'reserve_held' THEN amount_micros ELSE -amount_micros END), 0)
                FROM money_changes m WHERE m.organization_id = r.organization_id AND m.reference_id = 'reserve'
                  AND change IN ('reserve_held', 'reserve_released')) AS noted
            FROM examined.reserves r
        ) compared
        """,
    ),
    Check(
        guarantee=4,
        claim="captured holds without exactly one debit of the captured amount",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE e.amount_micros IS DISTINCT FROM -h.captured_micros),
               min(h.organization_id || ', ' || h.reference_id)
                   FILTER (WHERE e.amount_micros IS DISTINCT FROM -h.captured_micros)
        FROM examined.holds h LEFT JOIN ledger_entries e
            ON e.organization_id = h.organization_id AND e.reference_id = h.reference_id AND e.kind = 'debit'
        WHERE h.status = 'captured'
        """,
    ),
    Check(
        guarantee=4,
        claim="references booked twice, and debits refunded twice",
        sql="""
        SELECT coalesce(sum(number), 0)::bigint, count(*) FILTER (WHERE number > 1) FROM (
            SELECT count(*) AS number FROM ledger_entries GROUP BY organization_id, reference_id
            UNION ALL
            SELECT count(*) FROM ledger_entries WHERE refunds IS NOT NULL GROUP BY organization_id, refunds
        ) grouped
        """,
        new=f"""
        SELECT (SELECT count(*) FROM new_tail), count(*) FILTER (WHERE number > 1) FROM (
            SELECT (SELECT count(*) FROM ledger_entries e
                    WHERE e.organization_id = n.organization_id AND e.reference_id = n.reference_id) AS number
            FROM new_tail n WHERE NOT {_UNIQUE.format(column="reference_id")}
            UNION ALL
            SELECT (SELECT count(*) FROM ledger_entries e
                    WHERE e.organization_id = n.organization_id AND e.refunds = n.refunds)
            FROM new_tail n WHERE n.refunds IS NOT NULL AND NOT {_UNIQUE.format(column="refunds")}
        ) counted
        """,
    ),
    Check(
        guarantee=4,
        claim="refunds without an earlier debit, or larger than that debit",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), {FIRST_ENTRY}
        FROM (
            SELECT r.organization_id, r.seq,
                   NOT coalesce(d.kind = 'debit' AND d.seq < r.seq AND r.amount_micros <= -d.amount_micros, false)
                   AS wrong
            FROM examined.ledger_entries r LEFT JOIN ledger_entries d
                ON d.organization_id = r.organization_id AND d.reference_id = r.refunds
            WHERE r.kind = 'refund'
        ) refunds
        """,
    ),
)
