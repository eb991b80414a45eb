"""Fills a database with many organizations and their past, in seconds, as a large installation has
them.

Everything is at rest: applied, sealed, handled, ended; and `certify` holds. Triggers and foreign
keys are skipped, so whatever they would add is added here.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import told_rows
from bench.organizations_rows import MESSAGE_COLUMNS, PAST, ROWS
from db.wallet import wallets
from domain.money import Money
from domain.wallet.entries import debit

BIGGEST = "org-100"
"""The organization that has the additional messages; it is suspended."""

_ZEROS = "decode(repeat('00', 32), 'hex')"
_MORE_MESSAGES = f"""
    INSERT INTO {MESSAGE_COLUMNS}
    SELECT '{BIGGEST}', uuidv7(), '+1416' || n, 'Hello', 1, 10000, 'refused', 1, 'failed',
        'SM' || md5('more' || n), 7500, 'USD', 'more-' || n, {PAST}, {PAST}, {PAST}
    FROM generate_series(1, :more) n
"""
_SEALS = f"""
    INSERT INTO ledger_seals (organization_id, seq, sha256)
    SELECT organization_id, seq,
           ledger_chain({_ZEROS}, ledger_entry_bytes(l)) OVER (PARTITION BY organization_id ORDER BY seq)
    FROM ledger_entries l
"""
_HISTORY = """
    (SELECT coalesce(string_agg({change}_text(c), '' ORDER BY c.id), '') FROM {change}s c
     WHERE c.organization_id = newest.organization_id AND c.after_seq < entries)
"""
_LINKS = f"""
    INSERT INTO ledger_heads (number, organization_id, seq, sha256)
    SELECT number, organization_id, entries, ledger_chain({_ZEROS}, head_bytes(organization_id, entries, sha256,
        {_HISTORY.format(change="gate_change")} || {_HISTORY.format(change="money_change")})) OVER (ORDER BY number)
    FROM (
        SELECT row_number() OVER (ORDER BY organization_id) AS number, organization_id, entries, s.sha256
        FROM wallets w JOIN ledger_seals s USING (organization_id) WHERE s.seq = w.entries
    ) newest
"""
_SENT = """
    INSERT INTO messages (organization_id, id, recipient, body, segments, price_micros, status, attempt,
        delivery_status, provider_sid, idempotency_key, sending_at, settled_at)
    SELECT organization_id, id, '+14170000000', 'Hello', 1, 10000, 'accepted', 1, 'sent', 'SM' || id, 'new',
        clock_timestamp() + interval '5 minutes', clock_timestamp() + interval '5 minutes'
    FROM (
        SELECT organization_id, gen_random_uuid() AS id
        FROM generate_series(1, :number, greatest(:number / :messages, 1)) n
        JOIN wallets ON organization_id = 'org-' || n WHERE gate_open
    ) chosen
    RETURNING organization_id, 'message:' || id || ':' || attempt
"""
"""Sent a little later, when all of them are paid."""
AT_ONCE = 500


async def fill(
    engine: AsyncEngine, organizations: int, *, debits: int = 0, more_messages: int = 0
) -> None:
    """Organizations `org-1` and following, each with at least four entries, and so many debits
    more; `BIGGEST` has `more_messages`, too.
    """
    async with engine.begin() as conn:
        for setting in (
            "statement_timeout = 0",
            "session_replication_role = replica",
            "work_mem = '256MB'",
        ):
            await conn.execute(text(f"SET LOCAL {setting}"))
        for into, values, source in (*ROWS, *told_rows.ROWS):
            insert = (
                f"INSERT INTO {into} SELECT {values} FROM generate_series(1, :number) n {source}"
            )
            params = {"number": organizations, "debits": debits}
            await conn.execute(
                text(insert), params if ":debits" in insert else {"number": organizations}
            )
        if more_messages:
            await conn.execute(text(_MORE_MESSAGES), {"more": more_messages})
        await conn.execute(text("UPDATE event_log_start SET at = now()"))
        for sealing in (_SEALS, _LINKS):
            await conn.execute(text(sealing))
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="AUTOCOMMIT")
        await conn.execute(text("SET statement_timeout = 0"))
        await conn.execute(text("VACUUM ANALYZE"))


async def send(conn: AsyncConnection, organizations: int, messages: int) -> None:
    """A message of each of so many organizations, paid and sent. The caller commits."""
    params = {"number": organizations, "messages": messages}
    sent = [tuple(row) for row in await conn.execute(text(_SENT), params)]
    for start in range(0, len(sent), AT_ONCE):
        debits = {
            organization_id: [debit(reference, Money(10_000, "USD"))]
            for organization_id, reference in sent[start : start + AT_ONCE]
        }
        await wallets.post_all(conn, debits)
