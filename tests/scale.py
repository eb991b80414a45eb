"""Fills a database with many organizations and their past, in seconds, as a large installation has
them.

Everything is at rest: applied, sealed, handled, ended. Checks of single rows are skipped, so seals
are not true hashes; plans and times are those of a real database.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

BIGGEST = "org-2"
"""The organization that has the additional messages."""

_ID = "'org-' || n"
_UUID = "uuidv7(make_interval(secs => -n))"
_SHA = "sha256(int8send(n))"
_PAST = "now() - interval '2 days' - make_interval(secs => n)"
_ROWS: tuple[tuple[str, str, str], ...] = (
    (
        (
            "organizations (id, name, currency, twilio_account_sid, sender, price_per_segment_micros,"
            " grace_seconds)"
        ),
        f"{_ID}, 'Company ' || n, 'USD', 'AC' || md5(n::text), '+15550001000', 10000, 259200",
        "",
    ),
    (
        "standings (organization_id, status, blocks, epoch, applied_epoch, decided_at)",
        (
            f"{_ID}, CASE WHEN n % 100 = 0 THEN 'suspended' ELSE 'active' END,"
            " CASE WHEN n % 100 = 0 THEN ARRAY['nonpayment'] ELSE '{}' END,"
            f" n % 3, n % 3, {_PAST}"
        ),
        "",
    ),
    (
        "wallets (organization_id, currency, balance_micros, entries, gate_open)",
        f"{_ID}, 'USD', 10000000, 3, n % 100 <> 0",
        "",
    ),
    (
        "subscriptions (organization_id, provider, provider_subscription_id, is_current, state)",
        f"{_ID}, CASE WHEN n % 2 = 0 THEN 'paypal' ELSE 'stripe' END, 'I-' || n, true, 'active'",
        "",
    ),
    (
        (
            "ledger_entries (organization_id, seq, kind, amount_micros, balance_after_micros,"
            " reference_id, created_at)"
        ),
        (
            f"{_ID}, seq, CASE seq WHEN 1 THEN 'credit' ELSE 'debit' END,"
            f" CASE seq WHEN 1 THEN 10020000 ELSE -10000 END, 10030000 - 10000 * seq, 'r' || seq, {_PAST}"
        ),
        "CROSS JOIN generate_series(1, 3) seq",
    ),
    (
        "ledger_seals (organization_id, seq, sha256)",
        f"{_ID}, seq, {_SHA}",
        "CROSS JOIN generate_series(1, 3) seq",
    ),
    ("ledger_heads (number, organization_id, seq, sha256)", f"n, {_ID}, 3, {_SHA}", ""),
    (
        "gate_changes (organization_id, change, after_seq, epoch, at)",
        f"{_ID}, CASE k WHEN 1 THEN 'shut' ELSE 'opened' END, 1, k, {_PAST}",
        "CROSS JOIN generate_series(1, 2) k WHERE n % 3 = 2",
    ),
    (
        "receipts (organization_id, epoch, status, cause, decided_at, finished_at)",
        f"{_ID}, k, CASE k WHEN 1 THEN 'suspended' ELSE 'active' END, '', {_PAST}, {_PAST}",
        "CROSS JOIN generate_series(1, 2) k WHERE n % 3 = 2",
    ),
    (
        (
            "holds (organization_id, reference_id, amount_micros, captured_micros, status, expires_at,"
            " closed_at)"
        ),
        f"{_ID}, 'hold', 1000, 1000, 'captured', {_PAST}, {_PAST}",
        "",
    ),
    (
        (
            "inbox (provider, event_id, event_type, kind, body, headers, received_at, occurred_at,"
            " organization_id, provider_subscription_id, status, handled_at, deliveries, transmission_id)"
        ),
        (
            "CASE WHEN n % 2 = 0 THEN 'paypal' ELSE 'stripe' END, 'WH-' || n || '-' || k, 'PAYMENT',"
            f" 'payment_succeeded', '{{}}', '{{}}', {_PAST}, {_PAST}, {_ID}, 'I-' || n,"
            f" 'handled', {_PAST}, CASE WHEN n % 50 = 0 THEN 2 ELSE 1 END, 't-' || n || '-' || k"
        ),
        "CROSS JOIN generate_series(1, 2) k",
    ),
    (
        (
            "payments (organization_id, provider, object_id, kind, amount_micros, currency,"
            " provider_subscription_id, occurred_at)"
        ),
        (
            f"{_ID}, CASE WHEN n % 2 = 0 THEN 'paypal' ELSE 'stripe' END, 'CAP-' || n, 'subscription',"
            f" 5000000, 'USD', 'I-' || n, {_PAST}"
        ),
        "",
    ),
    (
        (
            "reversals (organization_id, provider, object_id, what, payment_id, payment_kind,"
            " told_micros, amount_micros)"
        ),
        (
            f"{_ID}, CASE WHEN n % 2 = 0 THEN 'paypal' ELSE 'stripe' END, 'REF-' || n, 'refund',"
            " 'CAP-' || n, 'subscription', 1000, 1000"
        ),
        "WHERE n % 10 = 0",
    ),
    (
        (
            "topups (organization_id, provider, checkout_id, url, amount_micros, currency,"
            " idempotency_key, status, settled_at)"
        ),
        f"{_ID}, 'paypal', 'O-' || n, 'https://example.com', 1000, 'USD', 'k', 'paid', {_PAST}",
        "WHERE n % 2 = 0",
    ),
    (
        (
            "migrations (organization_id, id, source_provider, source_subscription_id, target_provider,"
            " target_plan_id, return_url, cancel_url, state, ended_at)"
        ),
        f"{_ID}, {_UUID}, 'paypal', 'I-' || n, 'stripe', 'price_1', '', '', 'completed', {_PAST}",
        "WHERE n % 5 = 0",
    ),
    (
        (
            "campaigns (organization_id, id, name, body, status, reason, total, idempotency_key,"
            " request_sha256, created_at, started_at, completed_at)"
        ),
        (
            f"{_ID}, {_UUID}, 'Sale', 'Hello', CASE WHEN n % 1000 = 0 THEN 'parked' ELSE 'completed' END,"
            f" CASE WHEN n % 1000 = 0 THEN 'suspended' ELSE '' END, 1, 'k', {_SHA}, {_PAST}, {_PAST},"
            f" {_PAST}"
        ),
        "",
    ),
    (
        (
            "messages (organization_id, id, recipient, body, segments, price_micros, status, attempt,"
            " delivery_status, provider_sid, provider_price_micros, provider_price_currency,"
            " idempotency_key, created_at, sending_at, settled_at)"
        ),
        (
            f"{_ID}, uuidv7(), '+1415' || k, 'Hello', 1, 10000, 'accepted', 1, 'delivered',"
            f" 'SM' || md5(n || '.' || k), 7500, 'USD', k, {_PAST}, {_PAST}, {_PAST}"
        ),
        "CROSS JOIN generate_series(1, 3) k",
    ),
    (
        "attempts (organization_id, message_id, attempt, status, sending_at)",
        f"{_ID}, uuidv7(), 1, 'lost', {_PAST}",
        "WHERE n % 10 = 0",
    ),
    (
        "blocks (organization_id, kind, reason, placed_by)",
        f"{_ID}, 'admin', 'fraud', 'operator'",
        "WHERE n % 20 = 0",
    ),
    (
        "status_checks (organization_id, message_id, attempt, message_sid, next_at)",
        f"{_ID}, {_UUID}, 1, 'SM1', now() + interval '1 hour'",
        "WHERE n % 10 = 0",
    ),
    (
        (
            "unpaid_sends (organization_id, message_id, attempt, message_sid, delivery_status,"
            " charged_at)"
        ),
        f"{_ID}, {_UUID}, 1, 'SM1', 'delivered', {_PAST}",
        "WHERE n % 20 = 0",
    ),
    (
        "standing_counts (status, number)",
        "CASE WHEN n % 100 = 0 THEN 'suspended' ELSE 'active' END, count(*)",
        "GROUP BY 1",
    ),
    (
        "alerts (organization_id, kind, detail, cleared_at)",
        f"{_ID}, 'differs', 'it differs', now()",
        "WHERE n % 2 = 0",
    ),
    ("opt_outs (organization_id, recipient)", f"{_ID}, '+14150000000'", "WHERE n % 2 = 0"),
    ("pace (organization_id, next_at)", f"{_ID}, {_PAST}", ""),
    (
        "idempotency_keys (organization_id, operation, key, request_sha256, done)",
        f"{_ID}, 'send', 'k', {_SHA}, true",
        "",
    ),
)
_MORE_MESSAGES = f"""
    INSERT INTO messages (organization_id, id, recipient, body, segments, price_micros, status, attempt,
        delivery_status, provider_sid, provider_price_micros, provider_price_currency, idempotency_key,
        created_at, sending_at, settled_at)
    SELECT '{BIGGEST}', uuidv7(), '+1416' || n, 'Hello', 1, 10000, 'accepted', 1, 'delivered',
        'SM' || md5('more' || n), 7500, 'USD', 'more-' || n, {_PAST}, {_PAST}, {_PAST}
    FROM generate_series(1, :more) n
"""


async def fill(engine: AsyncEngine, organizations: int, *, more_messages: int = 0) -> None:
    """Organizations `org-1` and following; `BIGGEST` has `more_messages`."""
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL statement_timeout = 0"))
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        for into, values, source in _ROWS:
            insert = (
                f"INSERT INTO {into} SELECT {values} FROM generate_series(1, :number) n {source}"
            )
            await conn.execute(text(insert), {"number": organizations})
        if more_messages:
            await conn.execute(text(_MORE_MESSAGES), {"more": more_messages})
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="AUTOCOMMIT")
        await conn.execute(text("SET statement_timeout = 0"))
        await conn.execute(text("VACUUM ANALYZE"))
