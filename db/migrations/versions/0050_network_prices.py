"""network prices

Twilio's prices by network, and what a rate is compared with.

Revision ID: 0050
Revises: 0049
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "network_prices",
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column(
            "read_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("network_prices_country_check")),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("network_prices_currency_check")),
        sa.CheckConstraint("price_micros >= 0", name=op.f("network_prices_price_check")),
        sa.PrimaryKeyConstraint("country", "network", "currency", name=op.f("network_prices_pkey")),
    )
    op.add_column("rates", sa.Column("network", sa.Text()))
    op.add_column(
        "rates",
        sa.Column("below_cost", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("rates", "below_cost")
    op.drop_column("rates", "network")
    op.drop_table("network_prices")
