"""The rows of `bench/many_organizations` for what Twilio charges, as statements about the
organization number `n`.

The entries of the long ones are a foreign message charged early and returned, and a charge of a day,
half of which was owed and recovered.
"""

_ID = "'org-' || n"
_PAST = "now() - interval '2 days' - make_interval(secs => n)"
_LONG = "n % 10 = 0"
_CHARGE = "concat_ws(':', current_date - 3, 'sms-outbound', 1)"
ENTRIES = (
    ("carrier_charge", -1_000, "'carrier:foreign:' || n", "NULL"),
    ("carrier_refund", 1_000, "'carrier-refund:foreign:' || n", "NULL"),
    ("carrier_charge", -1_000, f"'carrier:' || {_CHARGE}", "NULL"),
    ("recovery", -1_000, f"'recovery:carrier:' || {_CHARGE} || ':' || 1", "NULL"),
)
ROWS: tuple[tuple[str, str, str], ...] = (
    (
        "carrier_readings (organization_id, charged_from, due_at, read_at, changed_at, as_of)",
        f"{_ID}, current_date - 100, now() + interval '1 hour', now(), {_PAST}, now()",
        "",
    ),
    (
        (
            "carrier_usage (organization_id, day, category, revision, price_micros, currency,"
            " read_at)"
        ),
        f"{_ID}, current_date - k, category, 1, 2000, 'USD', {_PAST}",
        (
            "CROSS JOIN generate_series(2, 3) k"
            " CROSS JOIN (VALUES ('sms-outbound'), ('totalprice')) c (category)"
        ),
    ),
    (
        (
            "carrier_charges (organization_id, day, category, revision, currency, cost_micros,"
            " absorbed_micros, action, due_micros, moved_micros, charged_at)"
        ),
        f"{_ID}, current_date - k, 'sms-outbound', 1, 'USD', 2000, 2000, 'absorb', 0, 0, {_PAST}",
        f"CROSS JOIN generate_series(2, 3) k WHERE NOT ({_LONG} AND k = 3)",
    ),
    (
        (
            "carrier_charges (organization_id, day, category, revision, currency, cost_micros, action,"
            " due_micros, moved_micros, reference_id, charged_at)"
        ),
        (
            f"{_ID}, current_date - 3, 'sms-outbound', 1, 'USD', 2000, 'charge', 2000, 2000,"
            f" {_CHARGE}, {_PAST}"
        ),
        f"WHERE {_LONG}",
    ),
    (
        (
            "carrier_debts (organization_id, reference_id, amount_micros, recovered_micros,"
            " recoveries, booked_at)"
        ),
        f"{_ID}, 'carrier:' || {_CHARGE}, 1000, 1000, 1, {_PAST}",
        f"WHERE {_LONG}",
    ),
    (
        "carrier_policies (organization_id, prefix, action)",
        f"{_ID}, 'phonenumbers', 'absorb'",
        f"WHERE {_LONG}",
    ),
    ("reserves (organization_id, changed_at)", f"{_ID}, {_PAST}", f"WHERE {_LONG}"),
    (
        "recurring_readings (organization_id, read_at, due_at, daily_micros)",
        f"{_ID}, now(), now() + interval '1 hour', 30000",
        f"WHERE {_LONG}",
    ),
    (
        "recurring_costs (organization_id, kind, reference_id, name, monthly_micros, currency)",
        f"{_ID}, 'number', 'PN' || md5(n::text), '+15550001000', 1150000, 'USD'",
        f"WHERE {_LONG}",
    ),
    (
        (
            "releases (organization_id, step, number_sid, name, saves_daily_micros, currency, reason,"
            ' "by", confirmed_at, done_at)'
        ),
        (
            f"{_ID}, 'release_number', 'PN' || md5('old' || n), '+15550002000', 30000, 'USD',"
            f" 'unused', 'admin', {_PAST}, {_PAST}"
        ),
        f"WHERE {_LONG}",
    ),
    (
        "tripwires (organization_id, trigger_sid, value_micros, compared_at)",
        f"{_ID}, 'UT' || md5(n::text), 1000000, now()",
        "",
    ),
    (
        "message_readings (organization_id, read_until, read_at, found_at)",
        f"{_ID}, now(), now(), CASE WHEN {_LONG} THEN now() - interval '10 days' END",
        "",
    ),
    (
        (
            "foreign_messages (organization_id, message_sid, direction, channel, number, segments,"
            " status, price_micros, price_currency, charge_id, happened_at, found_at)"
        ),
        (
            f"{_ID}, 'SM' || md5('foreign' || n), 'outbound', 'sms', '+1415***', 1, 'delivered',"
            " 1000, 'USD', n, now() - interval '10 days', now() - interval '10 days'"
        ),
        f"WHERE {_LONG}",
    ),
    (
        (
            "foreign_charges (organization_id, id, messages, amount_micros, latest_at, charged_at,"
            " returned_at) OVERRIDING SYSTEM VALUE"
        ),
        f"{_ID}, n, 1, 1000, now() - interval '10 days', now() - interval '10 days', {_PAST}",
        f"WHERE {_LONG}",
    ),
    (
        (
            "segment_differences (organization_id, message_id, attempt, ours, theirs, micros, batch,"
            " found_at)"
        ),
        f"{_ID}, md5('m' || n || '.1')::uuid, 1, 1, 2, 0, md5('b' || n)::uuid, {_PAST}",
        f"WHERE {_LONG}",
    ),
    (
        "company_usage (account_sid, day, revision, price_micros, currency)",
        "'AC' || md5((n % 50)::text), current_date - n / 50, 1, 2000, 'USD'",
        "WHERE n <= 20000",
    ),
    (
        "read_backs (organization_id, suspended_at, due_at)",
        f"{_ID}, now() - interval '10 minutes', now() + interval '1 hour'",
        "WHERE n % 100 = 0",
    ),
)
