"""The tables; CHECKs and unique constraints restate the guarantees, so that no code path can break
them quietly.

A file for each subject; importing this package loads them all, so that the metadata is whole.
"""

from db.tables import (
    api_keys,
    audit,
    billing,
    campaigns,
    carrier,
    company,
    events,
    foreign_messages,
    idempotency_keys,
    inbox,
    lifecycle,
    notifications,
    operations,
    outbound,
    recovery,
    schema_support,
    switching,
    tripwires,
    wallet,
)
from db.tables.columns import metadata

__all__ = [
    "APPEND_ONLY",
    "api_keys",
    "audit",
    "billing",
    "campaigns",
    "carrier",
    "company",
    "events",
    "foreign_messages",
    "idempotency_keys",
    "inbox",
    "lifecycle",
    "metadata",
    "notifications",
    "operations",
    "outbound",
    "recovery",
    "schema_support",
    "switching",
    "tripwires",
    "wallet",
]

APPEND_ONLY = (
    "ledger_entries", "ledger_seals", "ledger_heads", "money_changes", "gate_changes", "campaign_changes",
    "checkpoints", "carrier_usage", "carrier_charges", "company_usage", "operator_acts",
)  # fmt: skip
