"""The tables of organizations and of whether they may send."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from db.tables.columns import FALSE, ZERO, by_time, metadata, one_of, time
from domain.lifecycle.standing import Block

SEARCHED = "to_tsvector('simple'::regconfig, translate((id || ' '::text) || name, '._-'::text, '   '::text))"
"""The words of an organization's id and name."""

organizations = Table(
    "organizations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("twilio_account_sid", Text, nullable=False, unique=True),
    Column("twilio_parent_sid", Text),  # null until Twilio is asked
    Column("sender", Text, nullable=False),
    Column("price_per_segment_micros", BigInteger),
    Column("price_below_cost", Boolean, nullable=False, server_default=FALSE),
    # null: a messaging service that may send RCS is refused; 0: what it costs is accepted
    Column("price_per_rcs_message_micros", BigInteger),
    # why the sender may cost more than the customer pays, as it was last inspected
    Column("sender_problem", Text, nullable=False, server_default=""),
    Column("messages_per_second", Integer),
    Column("grace_seconds", Integer, nullable=False),
    Column("when_empty", Text, nullable=False, server_default="keep"),
    Column("empty_grace_seconds", Integer, nullable=False, server_default=text("86400")),
    Column("reserve_days", Integer, nullable=False, server_default=ZERO),
    time("created_at", now=True),
    CheckConstraint("id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'", name="id"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("price_per_segment_micros > 0", name="price"),
    CheckConstraint("price_per_rcs_message_micros >= 0", name="rcs_price"),
    CheckConstraint("messages_per_second > 0", name="pace"),
    CheckConstraint("grace_seconds >= 0", name="grace"),
    one_of("when_empty", "keep", "suspend"),
    CheckConstraint("empty_grace_seconds >= 0", name="empty_grace"),
    CheckConstraint("reserve_days BETWEEN 0 AND 366", name="reserve_days"),
    Index(
        "organizations_suspended_when_empty_idx",
        "id",
        postgresql_where=text("when_empty = 'suspend'"),
    ),
    Index("organizations_words_idx", text(SEARCHED), postgresql_using="gin"),
)

subaccount_tokens = Table(
    "subaccount_tokens",
    metadata,
    Column("account_sid", Text, primary_key=True),
    Column("encrypted", LargeBinary, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    time("placed_at", now=True),
    PrimaryKeyConstraint("organization_id", "kind", "reference"),
    one_of("kind", "dispute", "funds", "admin", "telephony"),
)

standings = Table(
    "standings",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), primary_key=True),
    Column("status", Text, nullable=False),
    Column("blocks", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("epoch", BigInteger, nullable=False, server_default=ZERO),
    Column("applied_epoch", BigInteger, nullable=False, server_default=ZERO),
    time("deadline"),
    time("warned_of"),  # the deadline that was told as near
    Column("cause", Text, nullable=False, server_default=""),
    time("decided_at", now=True),
    time("applied_at"),
    time("rung_at"),
    Column("stuck_step", Text),
    Column("stuck_reason", Text),
    time("suspension_sent_at"),
    one_of("status", "active", "suspended"),
    CheckConstraint("applied_epoch <= epoch", name="applied"),
    CheckConstraint("(status = 'suspended') = (cardinality(blocks) > 0)", name="blocked"),
    Index("standings_behind_idx", "decided_at", postgresql_where=text("applied_epoch < epoch")),
    Index("standings_stuck_idx", "status", postgresql_where=text("stuck_step IS NOT NULL")),
    Index(
        "standings_refused_idx",
        "organization_id",
        postgresql_where=text("stuck_step IS NOT NULL"),
    ),
    Index("standings_since_idx", "status", "decided_at", "organization_id"),
    Index("standings_due_idx", "deadline", postgresql_where=text("deadline IS NOT NULL")),
    Index("standings_status_idx", "status", "organization_id"),
    *(
        Index(
            f"standings_{block.value}_idx",
            "organization_id",
            postgresql_where=text(f"'{block.value}'::text = ANY (blocks)"),
        )
        for block in Block
    ),
)

read_backs = Table(
    "read_backs",
    metadata,
    # the suspensions of the last hour; no foreign key: its check would wait for a locked organization
    Column("organization_id", Text, primary_key=True),
    time("suspended_at", required=True),
    time("due_at", required=True),
    Index("read_backs_due_idx", "due_at"),
)

standing_counts = Table(
    "standing_counts",
    metadata,
    # a trigger of standings adds a row for each change, so that no two changes wait for each other
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("status", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
)

receipts = Table(
    "receipts",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("cause", Text, nullable=False),
    time("decided_at", required=True),
    Column("steps", JSONB, nullable=False, server_default=text("'[]'")),
    time("finished_at"),
    Column("leaked_debits", BigInteger),
    Column("leaked_messages", BigInteger),
    PrimaryKeyConstraint("organization_id", "epoch"),
    one_of("status", "active", "suspended"),
    by_time("receipts", "decided_at", "finished_at"),
)
