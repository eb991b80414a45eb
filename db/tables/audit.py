"""The tables of alerts, of what was certified and of what was reconciled."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from db.tables.columns import FALSE, ZERO, metadata, one_of, time

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text),  # null until this build has seen what an older one raised
    Column("organization_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    time("raised_at", now=True),
    time("last_seen_at", now=True),
    time("cleared_at"),  # only an older build sets it; this one moves the row to `past_alerts`
    Column("times", Integer, nullable=False, server_default=text("1")),
    Column("owner", Text),
    time("acknowledged_at"),
    PrimaryKeyConstraint("organization_id", "kind"),
    Index("alerts_open_idx", "raised_at", "kind", postgresql_where=text("cleared_at IS NULL")),
    Index("alerts_id_idx", "id", unique=True),
)
"""The open alerts, one of a kind for each organization."""

past_alerts = Table(
    "past_alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    time("raised_at", required=True),
    time("last_seen_at", required=True),
    time("cleared_at", required=True),
    Column("times", Integer, nullable=False),
    Column("owner", Text),
    time("acknowledged_at"),
    Column("closed_by", Text),  # null: it cleared by itself
    Index("past_alerts_raised_idx", "raised_at", "id"),
    Index("past_alerts_organization_idx", "organization_id", "kind"),
)
"""The alerts that ended."""

alert_changes = Table(
    "alert_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("alert_id", Text, nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("made_by", Text),  # null: Tollgate
    time("made_at", now=True),
    Column("fanned_out", Boolean, nullable=False, server_default=FALSE),  # to those who are told
    one_of("change", "raised", "repeated", "acknowledged", "cleared", "closed"),
    Index("alert_changes_alert_idx", "alert_id", "id"),
    Index("alert_changes_waiting_idx", "id", postgresql_where=text("NOT fanned_out")),
)
"""What happened to each alert, in order."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("link", BigInteger, nullable=False),  # 0: nothing was sealed
    Column("link_sha256", LargeBinary, nullable=False),
    Column("checks", Text, nullable=False),  # the hash of their text
    Column("everything", Boolean, nullable=False),
    time("since", required=True),
    time("made_at", now=True),
    Column("sha256", LargeBinary, nullable=False),
    CheckConstraint("length(sha256) = 32", name="sha256"),
)

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("subject", Text, primary_key=True),
    time("expected_since", now=True),  # the age counts from here until a first pass is complete
    time("began_at"),  # of the last complete pass
    time("completed_at"),
    Column("compared", BigInteger, nullable=False, server_default=ZERO),
    Column("differing", BigInteger, nullable=False, server_default=ZERO),
)
