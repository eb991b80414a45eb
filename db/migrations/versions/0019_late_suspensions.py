"""late suspensions

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("standings", sa.Column("suspension_sent_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("standings", "suspension_sent_at")
