"""collections

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "collections",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("provider_subscription_id", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("payment_id", sa.Text()),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'completed', 'declined', 'refunded', 'partially_refunded')",
            name=op.f("collections_status_check"),
        ),
        sa.CheckConstraint("amount_micros > 0", name=op.f("collections_amount_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("collections_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "idempotency_key", name=op.f("collections_pkey")
        ),
    )


def downgrade() -> None:
    op.drop_table("collections")
