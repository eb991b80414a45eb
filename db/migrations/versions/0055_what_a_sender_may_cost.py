"""what a sender may cost

The least that a message by a messaging service costs, and why a sender costs more than is paid.

Revision ID: 0055
Revises: 0054
"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organizations", sa.Column("price_per_rcs_message_micros", sa.BigInteger()))
    op.add_column(
        "organizations", sa.Column("sender_problem", sa.Text(), server_default="", nullable=False)
    )
    op.create_check_constraint(
        op.f("organizations_rcs_price_check"),
        "organizations",
        "price_per_rcs_message_micros >= 0",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    op.drop_column("organizations", "sender_problem")
    op.drop_column("organizations", "price_per_rcs_message_micros")
