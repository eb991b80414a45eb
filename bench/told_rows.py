"""The rows of `bench/many_organizations` for what people and host applications were told, as
statements about the organization number `n`: alerts that ended, and deliveries that arrived.
"""

_ID = "'org-' || n"
_PAST = "now() - interval '2 days' - make_interval(secs => n)"
ROWS: tuple[tuple[str, str, str], ...] = (
    (
        (
            "past_alerts (id, organization_id, kind, detail, raised_at, last_seen_at, cleared_at,"
            " times)"
        ),
        f"'alt_' || md5('past' || n), {_ID}, 'differs', 'it differed', {_PAST}, {_PAST}, now(), 1",
        "WHERE n % 2 = 0",
    ),
    (
        "webhook_endpoints (id, url, description)",
        "'we_' || n, 'https://host.example/' || n, ''",
        "WHERE n <= 3",
    ),
    ("webhook_queues (endpoint_id, organization_id)", f"'we_1', {_ID}", ""),
    (
        "webhook_deliveries (endpoint_id, organization_id, event_id, status, attempts, settled_at)",
        f"'we_1', {_ID}, 'evt_' || md5('told' || n), 'delivered', 1, {_PAST}",
        "",
    ),
)
