"""counted events

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COUNTED = ("missed", "duplicates", "out_of_order")


def upgrade() -> None:
    for name in COUNTED:
        op.add_column(
            "listings",
            sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        )
    op.create_index("inbox_received_idx", "inbox", ["received_at"], postgresql_using="brin")
    op.create_index(
        "inbox_repeated_idx",
        "inbox",
        ["provider"],
        postgresql_include=["deliveries"],
        postgresql_where=sa.text("deliveries > 1"),
    )


def downgrade() -> None:
    op.drop_index("inbox_repeated_idx", "inbox")
    op.drop_index("inbox_received_idx", "inbox")
    for name in reversed(COUNTED):
        op.drop_column("listings", name)
