"""holds

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("captured_micros", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_micros > 0", name=op.f("holds_amount_check")),
        sa.CheckConstraint(
            "captured_micros BETWEEN 0 AND amount_micros", name=op.f("holds_captured_amount_check")
        ),
        sa.CheckConstraint(
            "(status = 'captured') = (captured_micros > 0)", name=op.f("holds_captured_check")
        ),
        sa.CheckConstraint(
            "(status = 'open') = (closed_at IS NULL)", name=op.f("holds_closed_check")
        ),
        sa.CheckConstraint(
            "length(reference_id) BETWEEN 1 AND 255", name=op.f("holds_reference_check")
        ),
        sa.CheckConstraint(
            "status IN ('open', 'captured', 'released', 'expired')", name=op.f("holds_status_check")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["wallets.organization_id"],
            name=op.f("holds_organization_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "reference_id", name=op.f("holds_pkey")),
    )
    op.create_index(
        "holds_due_idx", "holds", ["expires_at"], postgresql_where=sa.text("status = 'open'")
    )


def downgrade() -> None:
    op.drop_index("holds_due_idx", table_name="holds", postgresql_where=sa.text("status = 'open'"))
    op.drop_table("holds")
    op.execute("UPDATE wallets SET held_micros = 0")
