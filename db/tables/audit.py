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

from db.tables.columns import ZERO, metadata, time

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
