"""held money

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "wallets",
        sa.Column("held_micros", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.create_check_constraint(op.f("wallets_held_check"), "wallets", "held_micros >= 0")
    op.create_check_constraint(
        op.f("wallets_held_covered_check"), "wallets", "balance_micros - held_micros >= 0"
    )


def downgrade() -> None:
    op.drop_column("wallets", "held_micros")
