"""parked deliveries

What a provider says of a delivery that is nobody's.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbox", sa.Column("amount_micros", sa.BigInteger()))
    op.add_column("inbox", sa.Column("currency", sa.Text()))
    op.add_column("inbox", sa.Column("payer", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    for name in ("payer", "currency", "amount_micros"):
        op.drop_column("inbox", name)
