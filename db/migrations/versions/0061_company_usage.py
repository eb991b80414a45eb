"""the company's own usage

What Twilio charges the parent accounts, and subaccounts that no organization has.

Revision ID: 0061
Revises: 0060
"""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None


def _time(name: str, *, required: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not required)


def upgrade() -> None:
    op.create_table(
        "company_accounts",
        sa.Column("account_sid", sa.Text(), nullable=False),
        sa.Column("parent_sid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        _time("listed_at", required=True),
        _time("due_at", required=True),
        _time("changed_at"),
        _time("as_of"),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("account_sid", name=op.f("company_accounts_pkey")),
    )
    op.create_index("company_accounts_due_idx", "company_accounts", ["due_at"])
    op.create_table(
        "company_usage",
        sa.Column("account_sid", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        _time("as_of"),
        sa.Column(
            "read_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("company_usage_currency_check")),
        sa.CheckConstraint("revision > 0", name=op.f("company_usage_revision_check")),
        sa.PrimaryKeyConstraint("account_sid", "day", "revision", name=op.f("company_usage_pkey")),
    )
    op.create_index("company_usage_day_idx", "company_usage", ["day"])
    op.execute(
        """
        CREATE TRIGGER company_usage_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON company_usage
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_changes()
        """
    )


def downgrade() -> None:
    op.drop_table("company_usage")
    op.drop_table("company_accounts")
