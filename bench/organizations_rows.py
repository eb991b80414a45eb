"""The rows of `bench/many_organizations`, as statements about the organization number `n`."""

from bench import carrier_rows

_ID = "'org-' || n"
_SHA = "sha256(int8send(n))"
PAST = "now() - interval '2 days' - make_interval(secs => n)"
_BEFORE = "now() - interval '3 days' - make_interval(secs => n)"
_SUSPENDED, _RETURNED = "n % 100 = 0", "n % 100 <> 0 AND n % 3 = 2"
_LONG = "n % 10 = 0"
"""These have messages that were sent again and charged afterwards."""


def _message(k: int) -> str:
    return f"md5('m' || n || '.{k}')::uuid"


def _debit_of(k: int, attempt: int) -> str:
    return f"'message:' || {_message(k)} || ':' || {attempt}"


_ENTRIES = (
    ("credit", 1_000_000_000, "'opening'", "NULL"),
    ("debit", -1_000, "'hold'", "NULL"),
    ("debit", -10_000, _debit_of(1, 1), "NULL"),
    ("debit", -10_000, _debit_of(2, 1), "NULL"),
    # of the long ones only
    ("debit", -10_000, _debit_of(3, 1), "NULL"),
    ("refund", 10_000, f"'refund:' || {_debit_of(3, 1)}", _debit_of(3, 1)),
    ("debit", -10_000, _debit_of(3, 2), "NULL"),
    ("debit", -10_000, _debit_of(4, 1), "NULL"),
    ("refund", 10_000, f"'refund:' || {_debit_of(4, 1)}", _debit_of(4, 1)),
    ("debit", -10_000, f"'charge:' || {_debit_of(4, 1)}", "NULL"),
    *carrier_rows.ENTRIES,
)
_SHORT = 4
_BASE = f"CASE WHEN {_LONG} THEN {len(_ENTRIES)} ELSE {_SHORT} END"
_BALANCES = [sum(entry[1] for entry in _ENTRIES[: place + 1]) for place in range(len(_ENTRIES))]
_BALANCE = f"CASE WHEN {_LONG} THEN {_BALANCES[-1]} ELSE {_BALANCES[_SHORT - 1]} END"
_SUSPENSION = (
    """'[{"step": "suspend_twilio_subaccount"}, {"step": "freeze_wallet"}, """
    """{"step": "pause_campaigns"}]'"""
)
_REACTIVATION = (
    """'[{"step": "reactivate_twilio_subaccount"}, {"step": "unfreeze_wallet"}, """
    """{"step": "resume_eligible_campaigns"}]'"""
)
_ENTRY_COLUMNS = (
    "ledger_entries (organization_id, seq, kind, amount_micros, balance_after_micros, reference_id,"
    " refunds, created_at)"
)
MESSAGE_COLUMNS = (
    "messages (organization_id, id, recipient, body, segments, price_micros, status, attempt,"
    " delivery_status, provider_sid, provider_price_micros, provider_price_currency,"
    " idempotency_key, created_at, sending_at, settled_at)"
)
ROWS: tuple[tuple[str, str, str], ...] = (
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
            f"{_ID}, CASE WHEN {_SUSPENDED} THEN 'suspended' ELSE 'active' END,"
            f" CASE WHEN {_SUSPENDED} THEN ARRAY['nonpayment', 'admin'] ELSE '{{}}' END,"
            f" epoch, epoch, {PAST}"
        ),
        f"CROSS JOIN LATERAL (SELECT CASE WHEN {_SUSPENDED} THEN 1 WHEN {_RETURNED} THEN 2 ELSE 0 END epoch) e",
    ),
    (
        (
            "wallets (organization_id, currency, balance_micros, entries, gate_open,"
            " frozen_by_suspension)"
        ),
        (
            f"{_ID}, 'USD', {_BALANCE} - CAST(:debits AS bigint), {_BASE} + :debits, NOT ({_SUSPENDED}),"
            f" {_SUSPENDED}"
        ),
        "",
    ),
    (
        "subscriptions (organization_id, provider, provider_subscription_id, is_current, state)",
        f"{_ID}, CASE WHEN n % 2 = 0 THEN 'paypal' ELSE 'stripe' END, 'I-' || n, true, 'active'",
        "",
    ),
    *(
        (
            _ENTRY_COLUMNS,
            (
                f"{_ID}, {place + 1}, '{kind}', {amount}, {_BALANCES[place]}, {reference}, {refunds},"
                f" {_BEFORE}"
            ),
            "" if place < _SHORT else f"WHERE {_LONG}",
        )
        for place, (kind, amount, reference, refunds) in enumerate(_ENTRIES)
    ),
    (
        _ENTRY_COLUMNS,
        f"{_ID}, {_BASE} + k, 'debit', -1, {_BALANCE} - k, 'debit-' || k, NULL, {_BEFORE}",
        "CROSS JOIN generate_series(1, :debits) k",
    ),
    (
        "gate_changes (organization_id, change, after_seq, epoch, at)",
        f"{_ID}, change, 1, epoch, now() - interval '100 days'",
        (
            "CROSS JOIN (VALUES (1, 'shut', 1), (2, 'frozen_by_suspension', 1),"
            " (3, 'unfrozen_by_suspension', 2), (4, 'opened', 2)) g (place, change, epoch)"
            f" WHERE {_RETURNED} ORDER BY n, place"
        ),
    ),
    (
        "gate_changes (organization_id, change, after_seq, epoch, at)",
        f"{_ID}, change, {_BASE} + :debits, 1, now() - interval '1 day'",
        (
            "CROSS JOIN (VALUES (1, 'shut'), (2, 'frozen_by_suspension')) g (place, change)"
            f" WHERE {_SUSPENDED} ORDER BY n, place"
        ),
    ),
    (
        (
            "receipts (organization_id, epoch, status, cause, decided_at, finished_at, steps,"
            " leaked_debits, leaked_messages)"
        ),
        (
            f"{_ID}, k, CASE k WHEN 1 THEN 'suspended' ELSE 'active' END, '', {PAST}, {PAST},"
            f" CASE k WHEN 1 THEN {_SUSPENSION} ELSE {_REACTIVATION} END::jsonb, 0, 0"
        ),
        f"CROSS JOIN generate_series(1, 2) k WHERE {_RETURNED} OR {_SUSPENDED} AND k = 1",
    ),
    (
        (
            "holds (organization_id, reference_id, amount_micros, captured_micros, status, expires_at,"
            " closed_at, created_at)"
        ),
        f"{_ID}, 'hold', 1000, 1000, 'captured', {PAST}, {PAST}, {PAST}",
        "",
    ),
    (
        "money_changes (organization_id, change, reference_id, amount_micros, after_seq, at)",
        f"{_ID}, change, 'hold', 1000, 1, {_BEFORE}",
        "CROSS JOIN (VALUES ('hold_opened'), ('hold_captured')) m (change)",
    ),
    (
        (
            "inbox (provider, event_id, event_type, kind, body, headers, received_at, occurred_at,"
            " organization_id, provider_subscription_id, status, handled_at, deliveries, transmission_id)"
        ),
        (
            "CASE WHEN n % 2 = 0 THEN 'paypal' ELSE 'stripe' END, 'WH-' || n || '-' || k, 'PAYMENT',"
            f" 'payment_succeeded', '{{}}', '{{}}', {PAST}, {PAST}, {_ID}, 'I-' || n,"
            f" 'handled', {PAST}, CASE WHEN n % 50 = 0 THEN 2 ELSE 1 END, 't-' || n || '-' || k"
        ),
        "CROSS JOIN generate_series(1, 2) k",
    ),
    (
        (
            "payments (organization_id, provider, object_id, kind, amount_micros, currency,"
            " provider_subscription_id, occurred_at, booked_at)"
        ),
        (
            f"{_ID}, CASE WHEN n % 2 = 0 THEN 'paypal' ELSE 'stripe' END, 'CAP-' || n, 'subscription',"
            f" 5000000, 'USD', 'I-' || n, {PAST}, {PAST}"
        ),
        "",
    ),
    (
        (
            "reversals (organization_id, provider, object_id, what, payment_id, payment_kind,"
            " told_micros, amount_micros, booked_at)"
        ),
        (
            f"{_ID}, CASE WHEN n % 2 = 0 THEN 'paypal' ELSE 'stripe' END, 'REF-' || n, 'refund',"
            f" 'CAP-' || n, 'subscription', 1000, 1000, {PAST}"
        ),
        "WHERE n % 10 = 0",
    ),
    (
        (
            "topups (organization_id, provider, checkout_id, url, amount_micros, currency,"
            " idempotency_key, status, settled_at)"
        ),
        f"{_ID}, 'paypal', 'O-' || n, 'https://example.com', 1000, 'USD', 'k', 'expired', {PAST}",
        "WHERE n % 2 = 0",
    ),
    (
        (
            "migrations (organization_id, id, source_provider, source_subscription_id, target_provider,"
            " target_plan_id, return_url, cancel_url, state, ended_at)"
        ),
        f"{_ID}, md5('s' || n)::uuid, 'paypal', 'I-' || n, 'stripe', 'price_1', '', '', 'completed', {PAST}",
        "WHERE n % 5 = 0",
    ),
    (
        (
            "campaigns (organization_id, id, name, body, status, reason, total, idempotency_key,"
            " request_sha256, created_at, started_at, completed_at)"
        ),
        (
            f"{_ID}, md5('c' || n)::uuid, 'Sale', 'Hello',"
            " CASE WHEN n % 1000 = 0 THEN 'parked' ELSE 'completed' END,"
            f" CASE WHEN n % 1000 = 0 THEN 'suspended' ELSE '' END, 0, 'k', {_SHA}, {PAST}, {PAST},"
            f" {PAST}"
        ),
        "",
    ),
    (
        "campaign_changes (organization_id, campaign_id, from_status, to_status, by, at)",
        (
            f"{_ID}, md5('c' || n)::uuid, 'draft',"
            f" CASE WHEN n % 1000 = 0 THEN 'parked' ELSE 'completed' END, 'tollgate', {PAST}"
        ),
        "",
    ),
    (
        MESSAGE_COLUMNS,
        (
            f"{_ID}, md5('m' || n || '.' || k)::uuid, '+1415' || k, 'Hello', 1, 10000,"
            " CASE k WHEN 4 THEN 'refused' ELSE 'accepted' END, CASE k WHEN 3 THEN 2 ELSE 1 END,"
            f" 'delivered', 'SM' || md5(n || '.' || k), 7500, 'USD', k, {PAST}, {PAST}, {PAST}"
        ),
        f"CROSS JOIN generate_series(1, 4) k WHERE k <= 2 OR {_LONG}",
    ),
    (
        "attempts (organization_id, message_id, attempt, status, sending_at, ended_at)",
        f"{_ID}, {_message(3)}, 1, 'given_back', {PAST}, {PAST}",
        f"WHERE {_LONG}",
    ),
    (
        "blocks (organization_id, kind, reason, placed_by)",
        f"{_ID}, 'admin', 'fraud', 'operator'",
        f"WHERE {_SUSPENDED}",
    ),
    (
        "status_checks (organization_id, message_id, attempt, message_sid, next_at)",
        f"{_ID}, {_message(1)}, 1, 'SM1', now() + interval '1 hour'",
        "WHERE n % 10 = 0",
    ),
    (
        (
            "unpaid_sends (organization_id, message_id, attempt, message_sid, delivery_status,"
            " found_at, charged_at)"
        ),
        f"{_ID}, {_message(4)}, 1, 'SM' || md5(n || '.4'), 'delivered', {PAST}, {PAST}",
        f"WHERE {_LONG}",
    ),
    (
        "standing_counts (status, number)",
        f"CASE WHEN {_SUSPENDED} THEN 'suspended' ELSE 'active' END, count(*)",
        "GROUP BY 1",
    ),
    (
        "alerts (organization_id, kind, detail, cleared_at)",
        f"{_ID}, 'differs', 'it differs', now()",
        "WHERE n % 2 = 0",
    ),
    ("opt_outs (organization_id, recipient)", f"{_ID}, '+14150000000'", "WHERE n % 2 = 0"),
    (
        "listed_days (organization_id, day, listed_at)",
        f"{_ID}, current_date - k, {PAST}",
        "CROSS JOIN generate_series(1, 3) k",
    ),
    ("pace (organization_id, next_at)", f"{_ID}, {PAST}", ""),
    (
        "idempotency_keys (organization_id, operation, key, request_sha256, done)",
        f"{_ID}, 'send', 'k', {_SHA}, true",
        "",
    ),
    # more of them is what grows: certify compares later ones
    (
        "events (organization_id, type, data, occurred_at, fanned_out)",
        f"{_ID}, (ARRAY['campaign.started', 'campaign.parked', 'campaign.completed'])[k], '{{}}', {PAST}, true",
        "CROSS JOIN generate_series(1, 3) k",
    ),
    *carrier_rows.ROWS,
)
