"""prices of each parent

Twilio's prices are those of a parent account; what was read before belongs to the main one. An
organization's price for all countries without a rate may be below cost on purpose.

Revision ID: 0066
Revises: 0065
"""

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "organizations",
        sa.Column(
            "price_below_cost", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
    )
    op.add_column(
        "network_prices", sa.Column("account_sid", sa.Text(), server_default="", nullable=False)
    )
    # a few thousand rows, which a daily pass writes
    _key("country, network, currency, account_sid")


def downgrade() -> None:
    op.execute("DELETE FROM network_prices WHERE account_sid <> ''")
    _key("country, network, currency")
    op.drop_column("network_prices", "account_sid")
    op.drop_column("organizations", "price_below_cost")


def _key(columns: str) -> None:
    op.execute("""
        -- squawk-ignore ban-drop-constraint
        ALTER TABLE network_prices DROP CONSTRAINT network_prices_pkey
    """)
    op.execute(f"""
        -- squawk-ignore constraint-missing-not-valid, adding-serial-primary-key-field
        ALTER TABLE network_prices ADD CONSTRAINT network_prices_pkey PRIMARY KEY ({columns})
    """)
