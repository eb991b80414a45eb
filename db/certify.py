"""The proof of guarantees 1 to 7 on the live database: a query for each claim, that counts what breaks it."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.check import Check
from db.reversal_checks import REVERSAL_CHECKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    guarantee: int
    check: str
    examined: int
    broken: int
    first: str | None = None

    @property
    def holds(self) -> bool:
        return self.broken == 0

    @property
    def figure(self) -> str:
        return f"{self.broken} of {self.examined}" + (f", first {self.first}" if self.first else "")


GUARANTEES = {
    1: "No negative balance",
    2: "No Twilio charge without payment",
    3: "No race conditions",
    4: "No duplicate charge",
    5: "Campaigns auto-pause",
    6: "Campaigns auto-resume",
    7: "A frozen wallet blocks sends",
}

_FIRST_ENTRY = """
    (array_agg(organization_id || ', entry ' || seq ORDER BY organization_id, seq) FILTER (WHERE wrong))[1]
"""
_INTERVALS = """
    SELECT organization_id, after_seq AS from_seq, at AS from_at, change,
           lead(after_seq) OVER w AS to_seq, lead(at) OVER w AS to_at
    FROM gate_changes WHERE change IN ({shut}, {opened})
    WINDOW w AS (PARTITION BY organization_id ORDER BY id)
"""


def _entries_while(shut: str, opened: str) -> str:
    return f"""
        WITH intervals AS ({_INTERVALS.format(shut=f"'{shut}'", opened=f"'{opened}'")})
        SELECT (SELECT count(*) FROM intervals WHERE change = '{shut}'),
               count(*) FROM intervals i JOIN ledger_entries e
                   ON e.organization_id = i.organization_id AND e.kind = 'debit'
                   AND e.seq > i.from_seq AND (i.to_seq IS NULL OR e.seq <= i.to_seq)
        WHERE i.change = '{shut}'
    """


CHECKS = (
    Check(
        guarantee=1,
        claim="wallets with a negative balance",
        sql="SELECT count(*), count(*) FILTER (WHERE balance_micros < 0) FROM wallets",
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
    ),
    Check(
        guarantee=1,
        claim="entries whose balance does not follow from the entry before",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), {_FIRST_ENTRY}
        FROM (
            SELECT organization_id, seq, seq <> row_number() OVER w
                   OR balance_after_micros <> amount_micros + coalesce(lag(balance_after_micros) OVER w, 0) AS wrong
            FROM ledger_entries WINDOW w AS (PARTITION BY organization_id ORDER BY seq)
        ) entries
        """,
    ),
    Check(
        guarantee=1,
        claim="sealed entries that are gone, or are not what was sealed",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), {_FIRST_ENTRY}
        FROM (
            SELECT s.organization_id, s.seq, s.seq <> s.number OR e.seq IS NULL
                   OR s.sha256 <> sha256(coalesce(s.before, decode(repeat('00', 32), 'hex')) || ledger_entry_bytes(e))
                   AS wrong
            FROM (
                SELECT organization_id, seq, sha256, lag(sha256) OVER w AS before, row_number() OVER w AS number
                FROM ledger_seals WINDOW w AS (PARTITION BY organization_id ORDER BY seq)
            ) s LEFT JOIN ledger_entries e USING (organization_id, seq)
        ) sealed
        """,
    ),
    Check(
        guarantee=1,
        claim="wallets whose open holds do not add up to what they have set aside",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE w.held_micros <> coalesce(h.total, 0))
        FROM wallets w LEFT JOIN (
            SELECT organization_id, sum(amount_micros) AS total FROM holds WHERE status = 'open'
            GROUP BY organization_id
        ) h USING (organization_id)
        """,
    ),
    Check(
        guarantee=4,
        claim="captured holds without exactly one debit of what was captured",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE e.amount_micros IS DISTINCT FROM -h.captured_micros)
        FROM holds h LEFT JOIN ledger_entries e
            ON e.organization_id = h.organization_id AND e.reference_id = h.reference_id AND e.kind = 'debit'
        WHERE h.status = 'captured'
        """,
    ),
    Check(
        guarantee=2,
        claim="messages that Twilio took, or may have taken, without exactly one standing debit of their price",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE NOT coalesce(
            d.amount_micros = -m.price_micros AND d.created_at <= m.sending_at AND r.seq IS NULL, false))
        FROM messages m
        LEFT JOIN ledger_entries d ON d.organization_id = m.organization_id AND d.kind = 'debit'
            AND d.reference_id = 'message:' || m.id || ':' || m.attempt  -- unique: there is one or none
        LEFT JOIN ledger_entries r ON r.organization_id = d.organization_id AND r.refunds = d.reference_id
        WHERE m.status IN ('sending', 'accepted', 'unknown')
        """,
    ),
    Check(
        guarantee=2,
        claim="debits of messages that no attempt stands for, and that were not refunded",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE r.seq IS NULL)
        FROM ledger_entries d
        JOIN messages m ON m.organization_id = d.organization_id AND m.id::text = split_part(d.reference_id, ':', 2)
        LEFT JOIN ledger_entries r ON r.organization_id = d.organization_id AND r.refunds = d.reference_id
        WHERE d.kind = 'debit' AND d.reference_id LIKE 'message:%'
          AND (split_part(d.reference_id, ':', 3) <> m.attempt::text
               OR m.status NOT IN ('reserved', 'sending', 'accepted', 'unknown'))
        """,
    ),
    Check(
        guarantee=2,
        claim="messages handed over after the gate was shut",
        sql=f"""
        WITH intervals AS ({_INTERVALS.format(shut="'shut'", opened="'opened'")})
        SELECT (SELECT count(*) FROM intervals WHERE change = 'shut'),
               count(*) FROM intervals i JOIN messages m
                   ON m.organization_id = i.organization_id
                   AND m.sending_at > i.from_at AND (i.to_at IS NULL OR m.sending_at < i.to_at)
        WHERE i.change = 'shut'
        """,
    ),
    Check(
        guarantee=2,
        claim="suspensions that were closed without reading the subaccount back, or that leaked",
        sql="""
        SELECT count(*), count(*) FILTER (
            WHERE NOT steps @> '[{"step": "suspend_twilio_subaccount"}]' OR leaked_debits > 0 OR leaked_messages > 0)
        FROM receipts WHERE status = 'suspended' AND finished_at IS NOT NULL
        """,
    ),
    Check(
        guarantee=3,
        claim="debits that committed between a shut gate and its opening",
        sql=_entries_while("shut", "opened"),
    ),
    Check(
        guarantee=3,
        claim="suspended or blocked organizations whose gate stands open",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE w.gate_open) FROM standings s JOIN wallets w USING (organization_id)
        WHERE s.status = 'suspended' OR organization_id IN (SELECT organization_id FROM blocks)
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
    ),
    Check(
        guarantee=4,
        claim="webhook events stored twice",
        sql="""
        SELECT (SELECT count(*) FROM inbox), count(*) FROM (
            SELECT FROM inbox JOIN (
                SELECT provider, event_id FROM inbox GROUP BY provider, event_id HAVING count(*) > 1
            ) several USING (provider, event_id)
            GROUP BY provider, event_id, sha256(body) HAVING count(*) > 1
        ) twice
        """,
    ),
    Check(
        guarantee=4,
        claim="top-ups without exactly one credit of their amount",
        sql="""
        SELECT count(*), count(*) FILTER (
            WHERE e.amount_micros IS DISTINCT FROM p.amount_micros OR w.currency <> p.currency)
        FROM payments p JOIN wallets w USING (organization_id) LEFT JOIN ledger_entries e
            ON e.organization_id = p.organization_id AND e.reference_id = p.reference_id AND e.kind = 'credit'
        WHERE p.kind = 'topup'
        """,
    ),
    Check(
        guarantee=4,
        claim="top-ups credited to another wallet, too",
        sql="""
        SELECT (SELECT count(*) FROM payments WHERE kind = 'topup'), count(*)
        FROM payments p JOIN ledger_entries e
            ON e.reference_id = p.reference_id AND e.kind = 'credit' AND e.organization_id <> p.organization_id
        WHERE p.kind = 'topup'
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
    ),
    Check(
        guarantee=6,
        claim="campaigns that a person paused and Tollgate resumed",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE from_status = 'paused')
        FROM campaign_changes WHERE to_status = 'running' AND by = 'tollgate'
        """,
    ),
    Check(
        guarantee=6,
        claim="campaigns resumed by Tollgate while the gate was shut",
        sql=f"""
        WITH intervals AS ({_INTERVALS.format(shut="'shut'", opened="'opened'")})
        SELECT (SELECT count(*) FROM campaign_changes WHERE to_status = 'running' AND by = 'tollgate'),
               count(*) FROM intervals i JOIN campaign_changes c
                   ON c.organization_id = i.organization_id AND c.to_status = 'running' AND c.by = 'tollgate'
                   AND c.at > i.from_at AND (i.to_at IS NULL OR c.at < i.to_at)
        WHERE i.change = 'shut'
        """,
    ),
    Check(
        guarantee=7,
        claim="debits booked while the suspension had frozen the wallet",
        sql=_entries_while("frozen_by_suspension", "unfrozen_by_suspension"),
    ),
    Check(
        guarantee=7,
        claim="debits booked while an operator had frozen the wallet",
        sql=_entries_while("frozen_by_operator", "unfrozen_by_operator"),
    ),
    *REVERSAL_CHECKS,
)


async def examine(engine: AsyncEngine, *, longest: timedelta = timedelta(0)) -> list[Finding]:
    """Every finding on one snapshot of the database, which is not written to.

    A large ledger takes its time: no check may take longer than `longest`, zero for no limit.
    """
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        await conn.execute(text(f"SET LOCAL statement_timeout = {longest // timedelta(milliseconds=1)}"))
        return await certify(conn)


async def certify(conn: AsyncConnection) -> list[Finding]:
    """Run every check on the connection's snapshot; changes nothing. Call it in a REPEATABLE READ transaction."""
    findings = []
    for check in CHECKS:
        examined, broken, *first = (await conn.execute(text(check.sql.replace(":", r"\:")))).one()
        findings.append(
            Finding(
                guarantee=check.guarantee,
                check=check.claim,
                examined=examined,
                broken=broken,
                first=first[0] if first else None,
            )
        )
    return findings
