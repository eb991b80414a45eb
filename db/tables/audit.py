"""The table of alerts."""

from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, Table, Text, text

from db.tables.columns import metadata, time

alerts = Table(
    "alerts",
    metadata,
    Column("organization_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    time("raised_at", now=True),
    time("last_seen_at", now=True),
    time("cleared_at"),
    Column("times", Integer, nullable=False, server_default=text("1")),
    PrimaryKeyConstraint("organization_id", "kind"),
    Index("alerts_open_idx", "raised_at", "kind", postgresql_where=text("cleared_at IS NULL")),
)
