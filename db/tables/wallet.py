"""The tables of wallets: balances, the ledger with its seals, and the changes of gates and freezes."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from db.tables.columns import FALSE, TRUE, ZERO, by_time, metadata, one_of, time

wallets = Table(
    "wallets",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), primary_key=True),
    Column("currency", Text, nullable=False),
    Column("balance_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("entries", BigInteger, nullable=False, server_default=ZERO),
    Column("gate_open", Boolean, nullable=False, server_default=TRUE),
    Column("frozen_by_suspension", Boolean, nullable=False, server_default=FALSE),
    Column("frozen_by_operator", Boolean, nullable=False, server_default=FALSE),
    Column("freeze_reason", Text),
    Column("held_micros", BigInteger, nullable=False, server_default=ZERO),
    time("created_at", now=True),
    CheckConstraint("balance_micros >= 0", name="balance"),
    CheckConstraint("held_micros >= 0", name="held"),
    CheckConstraint("balance_micros - held_micros >= 0", name="held_covered"),
    CheckConstraint("balance_micros <= 4611686018427387904", name="balance_limit"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("balance_after_micros", BigInteger, nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("refunds", Text),
    Column("description", Text, nullable=False, server_default=""),
    time("created_at", now=True),
    PrimaryKeyConstraint("organization_id", "seq"),
    UniqueConstraint("organization_id", "reference_id"),
    ForeignKeyConstraint(
        ["organization_id", "refunds"], ["ledger_entries.organization_id", "ledger_entries.reference_id"]
    ),
    one_of(
        "kind", "credit", "debit", "refund", "reversal", "recovery", "carrier_charge", "carrier_refund"
    ),
    CheckConstraint(
        "(kind IN ('debit', 'reversal', 'recovery', 'carrier_charge')) = (amount_micros < 0)", name="sign"
    ),
    CheckConstraint("amount_micros <> 0", name="amount"),
    CheckConstraint("balance_after_micros >= 0", name="balance_after"),
    CheckConstraint("(kind = 'refund') = (refunds IS NOT NULL)", name="refunds"),
    CheckConstraint("length(reference_id) BETWEEN 1 AND 255", name="reference"),
    Index(
        "ledger_entries_kind_idx", "organization_id", "kind", "seq", postgresql_where=text("kind <> 'debit'"),
    ),
    Index("ledger_entries_created_idx", "created_at", "organization_id"),
    Index(
        "ledger_entries_refunds_once_idx", "organization_id", "refunds", unique=True,
        postgresql_where=text("refunds IS NOT NULL"),
    ),
)  # fmt: skip

holds = Table(
    "holds",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("captured_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("status", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    time("expires_at", required=True),
    time("created_at", now=True),
    time("closed_at"),
    PrimaryKeyConstraint("organization_id", "reference_id"),
    one_of("status", "open", "captured", "released", "expired"),
    CheckConstraint("amount_micros > 0", name="amount"),
    CheckConstraint("captured_micros BETWEEN 0 AND amount_micros", name="captured_amount"),
    CheckConstraint("(status = 'captured') = (captured_micros > 0)", name="captured"),
    CheckConstraint("(status = 'open') = (closed_at IS NULL)", name="closed"),
    CheckConstraint("length(reference_id) BETWEEN 1 AND 255", name="reference"),
    Index("holds_due_idx", "expires_at", postgresql_where=text("status = 'open'")),
    by_time("holds", "created_at", "closed_at"),
)

reserves = Table(
    "reserves",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), primary_key=True),
    Column("wanted_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("held_micros", BigInteger, nullable=False, server_default=ZERO),
    time("changed_at", required=True),
    CheckConstraint("held_micros BETWEEN 0 AND wanted_micros", name="held"),
    Index("reserves_short_idx", "organization_id", postgresql_where=text("held_micros < wanted_micros")),
    by_time("reserves", "changed_at"),
)  # fmt: skip

ledger_seals = Table(
    "ledger_seals",
    metadata,
    # no foreign key: its check would wait for a locked wallet
    Column("organization_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    time("sealed_at", now=True),
    PrimaryKeyConstraint("organization_id", "seq"),
    CheckConstraint("length(sha256) = 32", name="sha256"),
)

ledger_heads = Table(
    "ledger_heads",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", Text, nullable=False),  # as of seals
    Column("seq", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    time("made_at", now=True),
    UniqueConstraint("organization_id", "seq"),
    CheckConstraint("length(sha256) = 32", name="sha256"),
)

money_changes = Table(
    "money_changes",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), nullable=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("change", Text, nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("by", Text, nullable=False, server_default=""),
    Column("after_seq", BigInteger, nullable=False),
    time("at", now=True),
    PrimaryKeyConstraint("organization_id", "id"),
    one_of(
        "change", "hold_opened", "hold_captured", "hold_released", "hold_expired", "debt_waived", "waiver_reduced",
        "reserve_held", "reserve_released",
    ),
    CheckConstraint("amount_micros > 0", name="amount"),
    Index("money_changes_reference_idx", "organization_id", "reference_id"),
    Index("money_changes_seq_idx", "organization_id", "after_seq"),
    by_time("money_changes", "at"),
)  # fmt: skip

gate_changes = Table(
    "gate_changes",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), nullable=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("change", Text, nullable=False),
    Column("after_seq", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),
    time("at", now=True),
    PrimaryKeyConstraint("organization_id", "id"),
    one_of(
        "change",
        "shut",
        "opened",
        "frozen_by_suspension",
        "unfrozen_by_suspension",
        "frozen_by_operator",
        "unfrozen_by_operator",
    ),
    by_time("gate_changes", "at"),
)
