"""passes of the reconciliation

Each subject's last complete pass, and how far Twilio's lists of messages were read.

Revision ID: 0033
Revises: 0032
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "listed_days",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("page", sa.Text()),
        sa.Column("listed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("organization_id", "day", name=op.f("listed_days_pkey")),
    )
    op.create_index("listed_days_day_idx", "listed_days", ["day"])
    op.create_table(
        "reconciliations",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column(
            "expected_since",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("began_at", sa.DateTime(timezone=True)),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("compared", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("differing", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("reconciliations_pkey")),
    )


def downgrade() -> None:
    op.drop_table("reconciliations")
    op.drop_table("listed_days")
