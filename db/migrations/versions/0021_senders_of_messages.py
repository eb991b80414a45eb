"""senders of messages

With which sender a message was handed over: what failed with another one says nothing about the present one.

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
    op.add_column("messages", sa.Column("sender", sa.Text()))


def downgrade() -> None:
    op.drop_column("messages", "sender")
