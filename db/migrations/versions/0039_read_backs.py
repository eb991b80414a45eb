"""read backs

Suspensions of the last hour, whose subaccounts are read back at Twilio.

Revision ID: 0039
Revises: 0038
"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "read_backs",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("read_backs_pkey")),
    )
    op.create_index("read_backs_due_idx", "read_backs", ["due_at"])


def downgrade() -> None:
    op.drop_table("read_backs")
