"""quiet hours

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("quiet_from", sa.Time(), nullable=True))
    op.add_column("campaigns", sa.Column("quiet_until", sa.Time(), nullable=True))
    op.create_check_constraint(
        op.f("campaigns_quiet_check"), "campaigns", "(quiet_from IS NULL) = (quiet_until IS NULL)"
    )


def downgrade() -> None:
    op.drop_column("campaigns", "quiet_until")
    op.drop_column("campaigns", "quiet_from")
