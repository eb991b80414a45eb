"""The tables of customers' switches to another billing provider.

A table keeps the name that it was created with: a switch was called a migration then.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from db.tables.columns import metadata, one_of, time
from domain.billing.subscription import Provider

switches = Table(
    "migrations",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("id", Uuid, nullable=False, server_default=text("uuidv7()")),
    Column("source_provider", Text, nullable=False),
    Column("source_subscription_id", Text, nullable=False),
    Column("target_provider", Text, nullable=False),
    Column("target_plan_id", Text, nullable=False),
    Column("target_subscription_id", Text),
    Column("return_url", Text, nullable=False),
    Column("cancel_url", Text, nullable=False),
    Column("checkout_url", Text),
    Column("state", Text, nullable=False),
    Column("outcome", Text),
    Column("reason", Text, nullable=False, server_default=""),
    time("first_charge_at"),
    time("expires_at"),
    time("started_at", now=True),
    time("changed_at", now=True),
    time("ended_at"),
    PrimaryKeyConstraint("organization_id", "id"),
    one_of("source_provider", *Provider),
    one_of("target_provider", *Provider),
    one_of(
        "state", "started", "waiting", "checked", "offered", "consented", "stopping", "stopped", "undoing", "completed",
        "refused", "abandoned", "canceled", "undone", "failed",
    ),
    CheckConstraint("source_provider <> target_provider", name="elsewhere"),
    CheckConstraint(
        "(state IN ('completed', 'refused', 'abandoned', 'canceled', 'undone', 'failed')) = (ended_at IS NOT NULL)",
        name="ended",
    ),
    Index("migrations_one_open_idx", "organization_id", unique=True, postgresql_where=text("ended_at IS NULL")),
)  # fmt: skip

switch_cohorts = Table(
    "migration_cohorts",
    metadata,
    Column("target_provider", Text, primary_key=True),
    Column("paused", Text),
    time("counted_since", now=True),
    one_of("target_provider", *Provider),
)
