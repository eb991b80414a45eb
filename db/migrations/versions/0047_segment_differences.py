"""segment differences

Messages of which Twilio counted other segments than were paid for.

Revision ID: 0047
Revises: 0046
"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "segment_differences",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("ours", sa.Integer(), nullable=False),
        sa.Column("theirs", sa.Integer(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column("batch", sa.Uuid(), nullable=False),
        sa.Column(
            "found_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "ours > 0 AND theirs > 0 AND ours <> theirs",
            name=op.f("segment_differences_differ_check"),
        ),
        sa.CheckConstraint(
            "micros = 0 OR (micros > 0) = (theirs > ours)",
            name=op.f("segment_differences_micros_check"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "message_id", "attempt", name=op.f("segment_differences_pkey")
        ),
    )
    op.create_table(
        "segment_counts",
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "direction IN ('more', 'fewer')", name=op.f("segment_counts_direction_check")
        ),
        sa.PrimaryKeyConstraint("direction", name=op.f("segment_counts_pkey")),
    )


def downgrade() -> None:
    op.drop_table("segment_counts")
    op.drop_table("segment_differences")
