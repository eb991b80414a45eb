"""carrier usage

What Twilio charges: usage by day and category, policies, charges.

Revision ID: 0034
Revises: 0033
"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

APPEND_ONLY = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_changes()
"""


def upgrade() -> None:
    op.create_table(
        "carrier_exchange_rates",
        sa.Column("from_currency", sa.Text(), nullable=False),
        sa.Column("to_currency", sa.Text(), nullable=False),
        sa.Column("rate", sa.Numeric(precision=18, scale=9), nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "from_currency ~ '^[A-Z]{3}$' AND to_currency ~ '^[A-Z]{3}$'",
            name=op.f("carrier_exchange_rates_currency_check"),
        ),
        sa.CheckConstraint(
            "from_currency <> to_currency", name=op.f("carrier_exchange_rates_currencies_check")
        ),
        sa.CheckConstraint("rate > 0", name=op.f("carrier_exchange_rates_rate_check")),
        sa.PrimaryKeyConstraint(
            "from_currency", "to_currency", name=op.f("carrier_exchange_rates_pkey")
        ),
    )
    op.create_table(
        "carrier_policies",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column(
            "factor", sa.Numeric(precision=9, scale=6), server_default=sa.text("1"), nullable=False
        ),
        sa.Column("unit_price_micros", sa.BigInteger(), nullable=True),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "action <> 'absorb' OR factor = 1 AND unit_price_micros IS NULL",
            name=op.f("carrier_policies_absorb_check"),
        ),
        sa.CheckConstraint(
            "action IN ('charge', 'absorb', 'forbid')", name=op.f("carrier_policies_action_check")
        ),
        sa.CheckConstraint("factor > 0", name=op.f("carrier_policies_factor_check")),
        sa.CheckConstraint(
            "unit_price_micros >= 0", name=op.f("carrier_policies_unit_price_check")
        ),
        sa.CheckConstraint(
            "unit_price_micros IS NULL OR factor = 1", name=op.f("carrier_policies_one_price_check")
        ),
        sa.PrimaryKeyConstraint("organization_id", "prefix", name=op.f("carrier_policies_pkey")),
    )
    op.create_table(
        "carrier_readings",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("carrier_readings_pkey")),
    )
    op.create_index("carrier_readings_due_idx", "carrier_readings", ["due_at"], unique=False)
    op.create_table(
        "carrier_charges",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("explained_micros", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("absorbed_micros", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column(
            "factor", sa.Numeric(precision=9, scale=6), server_default=sa.text("1"), nullable=False
        ),
        sa.Column("unit_price_micros", sa.BigInteger(), nullable=True),
        sa.Column("due_micros", sa.BigInteger(), nullable=False),
        sa.Column("moved_micros", sa.BigInteger(), nullable=False),
        sa.Column("reference_id", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column(
            "charged_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "action IN ('charge', 'absorb', 'forbid')", name=op.f("carrier_charges_action_check")
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("carrier_charges_currency_check")),
        sa.CheckConstraint(
            "(moved_micros = 0) = (reference_id IS NULL)",
            name=op.f("carrier_charges_reference_check"),
        ),
        sa.CheckConstraint("due_micros >= 0", name=op.f("carrier_charges_due_check")),
        sa.CheckConstraint("explained_micros >= 0", name=op.f("carrier_charges_explained_check")),
        sa.CheckConstraint("revision > 0", name=op.f("carrier_charges_revision_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("carrier_charges_organization_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "day", "category", "revision", name=op.f("carrier_charges_pkey")
        ),
        sa.UniqueConstraint(
            "organization_id",
            "reference_id",
            name=op.f("carrier_charges_organization_id_reference_id_key"),
        ),
    )
    op.create_index(
        "carrier_charges_day_idx", "carrier_charges", ["day", "organization_id"], unique=False
    )
    op.create_index(
        "carrier_charges_problem_idx",
        "carrier_charges",
        ["organization_id", "day"],
        unique=False,
        postgresql_where=sa.text("problem IS NOT NULL"),
    )
    op.create_index(
        "carrier_charges_times_idx",
        "carrier_charges",
        ["charged_at"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    op.create_table(
        "carrier_usage",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("count", sa.Numeric(), nullable=True),
        sa.Column("usage", sa.Numeric(), nullable=True),
        sa.Column("usage_unit", sa.Text(), server_default="", nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "read_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("carrier_usage_currency_check")),
        sa.CheckConstraint(
            "length(category) BETWEEN 1 AND 150", name=op.f("carrier_usage_category_check")
        ),
        sa.CheckConstraint("revision > 0", name=op.f("carrier_usage_revision_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("carrier_usage_organization_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "day", "category", "revision", name=op.f("carrier_usage_pkey")
        ),
    )
    op.create_index(
        "carrier_usage_times_idx",
        "carrier_usage",
        ["read_at"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    for table in ("carrier_usage", "carrier_charges"):
        op.execute(APPEND_ONLY.format(table=table))
    op.add_column("messages", sa.Column("billed_on", sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column("messages", "billed_on")
    op.drop_index(
        "carrier_usage_times_idx",
        table_name="carrier_usage",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    op.drop_table("carrier_usage")
    op.drop_index(
        "carrier_charges_times_idx",
        table_name="carrier_charges",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    op.drop_index(
        "carrier_charges_problem_idx",
        table_name="carrier_charges",
        postgresql_where=sa.text("problem IS NOT NULL"),
    )
    op.drop_index("carrier_charges_day_idx", table_name="carrier_charges")
    op.drop_table("carrier_charges")
    op.drop_index("carrier_readings_due_idx", table_name="carrier_readings")
    op.drop_table("carrier_readings")
    op.drop_table("carrier_policies")
    op.drop_table("carrier_exchange_rates")
