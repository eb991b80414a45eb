"""repeated deliveries

Deliveries of stored events that no comparison has counted yet, so that a comparison reads only what
is new.

While an older build runs beside a newer one, both count some of them.

Revision ID: 0035
Revises: 0034
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

NOT_COUNTED_YET = """
INSERT INTO repeated_deliveries (provider, number)
SELECT provider, number - coalesce(duplicates, 0)
FROM (SELECT provider, sum(deliveries - 1)::bigint AS number FROM inbox WHERE deliveries > 1 GROUP BY provider) repeated
LEFT JOIN listings USING (provider)
WHERE number > coalesce(duplicates, 0)
"""


def upgrade() -> None:
    op.create_table(
        "repeated_deliveries",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("number", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "provider IN ('paypal', 'stripe')", name=op.f("repeated_deliveries_provider_check")
        ),
        sa.PrimaryKeyConstraint("provider", "id", name=op.f("repeated_deliveries_pkey")),
    )
    op.execute(NOT_COUNTED_YET)


def downgrade() -> None:
    op.drop_table("repeated_deliveries")
