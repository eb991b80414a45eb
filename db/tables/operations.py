"""The tables of what operators do."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.tables.columns import metadata, one_of, time

operator_acts = Table(
    "operator_acts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    time("at", now=True),
    Column("by", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("organization_id", Text),  # null: of none, or not known yet
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("operator_acts_organization_idx", "organization_id", "id"),
)

bulk_acts = Table(
    "bulk_acts",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("uuidv7()")),
    Column("kind", Text, nullable=False),
    Column("filters", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("amount_micros", BigInteger),
    Column("currency", Text),
    Column("digest", Text, nullable=False),
    Column("organizations", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default="previewed"),
    Column("previewed_by", Text, nullable=False),
    time("previewed_at", now=True),
    Column("confirmed_by", Text),
    time("confirmed_at"),
    time("finished_at"),
    time("rung_at"),
    one_of("kind", "suspend", "freeze", "credit"),
    one_of("status", "previewed", "running", "done"),
    CheckConstraint("(kind = 'credit') = (amount_micros IS NOT NULL)", name="amount"),
    CheckConstraint("amount_micros > 0", name="positive"),
    CheckConstraint("(status = 'previewed') = (confirmed_at IS NULL)", name="confirmed"),
    CheckConstraint("(status = 'done') = (finished_at IS NOT NULL)", name="finished"),
    Index("bulk_acts_running_idx", "id", postgresql_where=text("status = 'running'")),
)

bulk_act_targets = Table(
    "bulk_act_targets",
    metadata,
    Column("bulk_act_id", ForeignKey("bulk_acts.id"), nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("detail", Text, nullable=False, server_default=""),
    time("done_at"),
    PrimaryKeyConstraint("bulk_act_id", "organization_id"),
    one_of("status", "pending", "done", "refused"),
    Index(
        "bulk_act_targets_status_idx",
        "bulk_act_id",
        "status",
        "organization_id",
    ),
)
