"""The table of what happened, written in the transaction of each fact that it tells."""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from db.tables.columns import FALSE, metadata, time

events = Table(
    "events",
    metadata,
    Column(
        "id",
        Text,
        primary_key=True,
        server_default=text("('evt_'::text || replace((uuidv7())::text, '-'::text, ''::text))"),
    ),
    # the order of insertion, which is not that in which transactions commit
    Column("sequence", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("type", Text, nullable=False),
    # null: the installation; no foreign key: its check would wait for a locked organization
    Column("organization_id", Text),
    time("occurred_at", now=True),
    Column("data", JSONB, nullable=False),
    Column("fanned_out", Boolean, nullable=False, server_default=FALSE),
    Index("events_waiting_idx", "sequence", postgresql_where=text("NOT fanned_out")),
    Index("events_organization_idx", "organization_id", "sequence"),
    Index("events_type_idx", "type", "sequence"),
    Index("events_time_idx", "occurred_at"),
)

event_log_start = Table(
    "event_log_start",
    metadata,
    # one row, which the migration adds: every fact from then on has its event here. Whoever deletes
    # events moves it first
    time("at", required=True),
)
