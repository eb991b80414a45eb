"""owed for the carrier

What Twilio charged and the wallet could not pay is owed; the kinds of the ledger's entries and of blocks grow.

Revision ID: 0037
Revises: 0036
"""

import sqlalchemy as sa
from alembic import op

from db.migrations import indexes

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

OWED = "recovered_micros + waived_micros < amount_micros"
CHECKS = (
    (
        "ledger_entries",
        "kind",
        "kind IN ('credit', 'debit', 'refund', 'reversal', 'recovery', 'carrier_charge', 'carrier_refund')",
        "kind IN ('credit', 'debit', 'refund', 'reversal', 'recovery')",
    ),
    (
        "ledger_entries",
        "sign",
        "(kind IN ('debit', 'reversal', 'recovery', 'carrier_charge')) = (amount_micros < 0)",
        "(kind IN ('debit', 'reversal', 'recovery')) = (amount_micros < 0)",
    ),
    (
        "blocks",
        "kind",
        "kind IN ('dispute', 'funds', 'admin', 'telephony')",
        "kind IN ('dispute', 'admin', 'telephony')",
    ),
)
"""Of each table: the name of the check, what it says now, and what it said before. Validated by the next migration."""


def upgrade() -> None:
    indexes.replace(
        create=(
            "standings_funds_idx ON standings (organization_id) WHERE 'funds'::text = ANY (blocks)",
        )
    )
    op.create_table(
        "carrier_debts",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("recovered_micros", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("waived_micros", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("recoveries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_micros > 0", name=op.f("carrier_debts_amount_check")),
        sa.CheckConstraint(
            "recovered_micros >= 0 AND waived_micros >= 0", name=op.f("carrier_debts_parts_check")
        ),
        sa.CheckConstraint(
            "recovered_micros + waived_micros <= amount_micros",
            name=op.f("carrier_debts_whole_check"),
        ),
        sa.CheckConstraint(
            "(recoveries > 0) = (recovered_micros > 0)", name=op.f("carrier_debts_recoveries_check")
        ),
        sa.CheckConstraint(
            "reference_id ~ '^carrier:.'", name=op.f("carrier_debts_reference_check")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["wallets.organization_id"],
            name=op.f("carrier_debts_organization_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "reference_id", name=op.f("carrier_debts_pkey")),
    )
    op.create_index(
        "carrier_debts_owed_idx",
        "carrier_debts",
        ["organization_id", "booked_at"],
        postgresql_where=sa.text(OWED),
    )
    op.create_index(
        "carrier_debts_times_idx",
        "carrier_debts",
        ["booked_at"],
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    for table, name, now, _ in CHECKS:
        _replace(table, name, now)


def downgrade() -> None:
    for table, name, _, before in CHECKS:
        _replace(table, name, before)
    op.drop_table("carrier_debts")
    op.drop_index("standings_funds_idx", "standings")


def _replace(table: str, name: str, rule: str) -> None:
    check = f"{table}_{name}_check"
    # the wider check takes its place in the same transaction
    op.execute(f"""
        -- squawk-ignore ban-drop-constraint
        ALTER TABLE {table} DROP CONSTRAINT {check}
    """)
    op.create_check_constraint(op.f(check), table, rule, postgresql_not_valid=True)
