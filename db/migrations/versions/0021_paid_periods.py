"""paid periods

When the period that is paid for began, so that all payments made in it are known. Null until the provider is asked.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("paid_from", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("subscriptions", "paid_from")
