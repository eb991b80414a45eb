"""tripwires

Usage triggers at Twilio, one for each subaccount.

Revision ID: 0048
Revises: 0047
"""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tripwires",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("set_micros", sa.BigInteger(), nullable=True),
        sa.Column("trigger_sid", sa.Text(), nullable=True),
        sa.Column("value_micros", sa.BigInteger(), nullable=True),
        sa.Column("current_micros", sa.BigInteger(), nullable=True),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("set_micros > 0", name=op.f("tripwires_set_check")),
        sa.CheckConstraint("value_micros > 0", name=op.f("tripwires_value_check")),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("tripwires_pkey")),
    )
    op.create_index(
        "tripwires_pending_idx",
        "tripwires",
        ["fired_at"],
        unique=False,
        postgresql_where=sa.text(
            "fired_at IS NOT NULL AND (looked_at IS NULL OR looked_at < fired_at)"
        ),
    )


def downgrade() -> None:
    op.drop_index(
        "tripwires_pending_idx",
        table_name="tripwires",
        postgresql_where=sa.text(
            "fired_at IS NOT NULL AND (looked_at IS NULL OR looked_at < fired_at)"
        ),
    )
    op.drop_table("tripwires")
