"""The tables of a recovery: the fence, the database's mark, and messages that Twilio alone has."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from db.tables.columns import FALSE, ZERO, metadata, time

fences = Table(
    "fences",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("shut_by", Text, nullable=False),
    time("shut_at", now=True),
    Column("opened_by", Text),
    Column("opened_because", Text),
    time("opened_at"),
    CheckConstraint(
        "(opened_at IS NULL) = (opened_by IS NULL) AND (opened_at IS NULL) = (opened_because IS NULL)",
        name="opened",
    ),
    Index(
        "fences_one_shut_idx",
        text("(opened_at IS NULL)"),
        unique=True,
        postgresql_where=text("opened_at IS NULL"),
    ),
)

database_marks = Table(
    "database_marks",
    metadata,
    # apart from the fence, which every debit reads: it changes every second
    Column("number", BigInteger, nullable=False, server_default=ZERO),
    Column(
        "accepted", BigInteger, nullable=False, server_default=ZERO
    ),  # number at the last opening
    Column("installation", Uuid),  # given by the first process, so that no two databases share it
    time("advanced_at", now=True),
    Index("database_marks_one_idx", text("(true)"), unique=True),
)

unmatched_messages = Table(
    "unmatched_messages",
    metadata,
    # no foreign key: the restored database may lack an organization that a process remembers
    Column("organization_id", Text, nullable=False),
    Column("message_sid", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("listed", Boolean, nullable=False, server_default=FALSE),  # by Twilio itself
    Column("message_id", Uuid),  # ours, if it could only not be paid
    time("created_at"),  # at Twilio
    time("found_at", now=True),
    Column("closed_by", Text),
    Column("closed_because", Text),
    time("closed_at"),
    PrimaryKeyConstraint("organization_id", "message_sid"),
    CheckConstraint(
        "(closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (closed_because IS NULL)",
        name="closed",
    ),
    Index(
        "unmatched_messages_open_idx",
        "organization_id",
        "found_at",
        postgresql_where=text("closed_at IS NULL"),
    ),
)
