"""senders of messages

With which sender a message was handed over: what failed with another one says nothing about the present one.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("sender", sa.Text()))


def downgrade() -> None:
    op.drop_column("messages", "sender")
