"""rates and recipients

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rates",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("price_per_segment_micros", sa.BigInteger(), nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("rates_country_check")),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("rates_currency_check")),
        sa.CheckConstraint("price_per_segment_micros > 0", name=op.f("rates_price_check")),
        sa.PrimaryKeyConstraint("organization_id", "country", "currency", name=op.f("rates_pkey")),
    )
    op.alter_column("organizations", "price_per_segment_micros", nullable=True)
    op.add_column("messages", sa.Column("country", sa.Text()))
    op.create_index(
        "messages_recipient_once_idx",
        "messages",
        ["organization_id", "recipient", "campaign_id"],
        unique=True,
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )
    op.create_index(
        "messages_unpriced_idx",
        "messages",
        ["organization_id", "sending_at"],
        postgresql_where=sa.text("provider_sid IS NOT NULL AND provider_price_micros IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("messages_unpriced_idx", "messages")
    op.drop_index("messages_recipient_once_idx", "messages")
    op.drop_column("messages", "country")
    op.alter_column("organizations", "price_per_segment_micros", nullable=False)
    op.drop_table("rates")
