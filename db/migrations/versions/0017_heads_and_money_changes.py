"""heads and money changes

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

CHANGES = ("hold_opened", "hold_captured", "hold_released", "hold_expired", "debt_waived")
GATE_CHANGE = """
CREATE FUNCTION gate_change_text(g gate_changes) RETURNS text LANGUAGE sql STABLE
RETURN netstring(g.change) || netstring(g.after_seq::text) || netstring(g.epoch::text) || netstring(g.cause)
    || netstring((extract(epoch FROM g.at) * 1000000)::bigint::text)
"""
MONEY_CHANGE = """
CREATE FUNCTION money_change_text(m money_changes) RETURNS text LANGUAGE sql STABLE
RETURN netstring(m.change) || netstring(m.after_seq::text) || netstring(m.reference_id)
    || netstring(m.amount_micros::text) || netstring(m.by)
    || netstring((extract(epoch FROM m.at) * 1000000)::bigint::text)
"""
HISTORY = """
CREATE FUNCTION wallet_history(organization text, from_seq bigint, below_seq bigint) RETURNS text LANGUAGE sql STABLE
RETURN (SELECT coalesce(string_agg(gate_change_text(g), '' ORDER BY g.id), '') FROM gate_changes g
        WHERE g.organization_id = organization AND g.after_seq >= from_seq AND g.after_seq < below_seq)
    || (SELECT coalesce(string_agg(money_change_text(m), '' ORDER BY m.id), '') FROM money_changes m
        WHERE m.organization_id = organization AND m.after_seq >= from_seq AND m.after_seq < below_seq)
"""
HEAD = """
CREATE FUNCTION head_bytes(organization text, seq bigint, seal bytea, history text) RETURNS bytea
LANGUAGE sql STABLE
RETURN convert_to(netstring(organization) || netstring(seq::text), 'UTF8') || seal || convert_to(history, 'UTF8')
"""
APPEND_ONLY = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_changes()
"""
EARLIER_HOLDS = """
INSERT INTO money_changes (organization_id, change, reference_id, amount_micros, after_seq, at)
SELECT organization_id, 'hold_opened', reference_id, amount_micros, 0, created_at FROM holds ORDER BY created_at
"""
EARLIER_ENDS = """
INSERT INTO money_changes (organization_id, change, reference_id, amount_micros, after_seq, at)
SELECT organization_id, 'hold_' || status, reference_id,
       CASE status WHEN 'captured' THEN captured_micros ELSE amount_micros END, 0, closed_at
FROM holds WHERE status <> 'open' ORDER BY closed_at
"""
EARLIER_WAIVED = """
INSERT INTO money_changes (organization_id, change, reference_id, amount_micros, by, after_seq)
SELECT organization_id, 'debt_waived', provider || ':' || object_id, waived_micros, 'before this was noted', 0
FROM reversals WHERE waived_micros > 0
"""


def upgrade() -> None:
    op.create_table(
        "ledger_heads",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column(
            "made_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("length(sha256) = 32", name=op.f("ledger_heads_sha256_check")),
        sa.PrimaryKeyConstraint("number", name=op.f("ledger_heads_pkey")),
        sa.UniqueConstraint(
            "organization_id", "seq", name=op.f("ledger_heads_organization_id_seq_key")
        ),
    )
    op.create_table(
        "money_changes",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("after_seq", sa.BigInteger(), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "change IN ('" + "', '".join(CHANGES) + "')", name=op.f("money_changes_change_check")
        ),
        sa.CheckConstraint("amount_micros > 0", name=op.f("money_changes_amount_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["wallets.organization_id"],
            name=op.f("money_changes_organization_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("money_changes_pkey")),
    )
    for statement in (
        EARLIER_HOLDS,
        EARLIER_ENDS,
        EARLIER_WAIVED,
        GATE_CHANGE,
        MONEY_CHANGE,
        HISTORY,
        HEAD,
    ):
        op.execute(statement)
    for table in ("ledger_heads", "money_changes"):
        op.execute(APPEND_ONLY.format(table=table))


def downgrade() -> None:
    op.execute("DROP FUNCTION head_bytes, wallet_history, money_change_text, gate_change_text")
    op.drop_table("money_changes")
    op.drop_table("ledger_heads")
