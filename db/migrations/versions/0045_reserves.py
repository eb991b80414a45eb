"""reserves

What a wallet keeps for recurring cost, what a subaccount costs whether it is used or not, and what an operator gave up to
end that.

Revision ID: 0045
Revises: 0044
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

CHANGES = ("hold_opened", "hold_captured", "hold_released", "hold_expired", "debt_waived")
RESERVED = ("reserve_held", "reserve_released")


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"{table}_{name}_check"))


def _text(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable, server_default=default)


def _micros(name: str, *, nullable: bool = False, zero: bool = False) -> sa.Column[int]:
    default = sa.text("0") if zero else None
    return sa.Column(name, sa.BigInteger(), nullable=nullable, server_default=default)


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _organization(table: str, key: str = "organizations.id") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id"], [key], name=op.f(f"{table}_organization_id_fkey")
    )


def upgrade() -> None:
    op.create_table(
        "reserves",
        _text("organization_id"),
        _micros("wanted_micros", zero=True),
        _micros("held_micros", zero=True),
        _time("changed_at", nullable=False),
        _check("reserves", "held", "held_micros BETWEEN 0 AND wanted_micros"),
        _organization("reserves", "wallets.organization_id"),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("reserves_pkey")),
    )
    op.create_index(
        "reserves_short_idx",
        "reserves",
        ["organization_id"],
        postgresql_where=sa.text("held_micros < wanted_micros"),
    )
    op.create_index(
        "reserves_times_idx",
        "reserves",
        ["changed_at"],
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    _create_recurring()
    _create_releases()
    _replace_changes((*CHANGES, *RESERVED))


def _create_recurring() -> None:
    op.create_table(
        "recurring_costs",
        _text("organization_id"),
        _text("kind"),
        _text("reference_id"),
        _text("name"),
        _micros("monthly_micros"),
        _text("currency"),
        sa.Column("answers", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _check("recurring_costs", "kind", "kind IN ('number', 'usage')"),
        _check("recurring_costs", "monthly", "monthly_micros >= 0"),
        _organization("recurring_costs"),
        sa.PrimaryKeyConstraint(
            "organization_id", "kind", "reference_id", name=op.f("recurring_costs_pkey")
        ),
    )
    op.create_table(
        "recurring_readings",
        _text("organization_id"),
        _time("read_at"),
        _time("due_at", nullable=False),
        _micros("daily_micros", nullable=True),
        _text("problem", nullable=True),
        _organization("recurring_readings"),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("recurring_readings_pkey")),
    )
    op.create_index("recurring_readings_due_idx", "recurring_readings", ["due_at"])


def _create_releases() -> None:
    op.create_table(
        "releases",
        _text("organization_id"),
        _text("step"),
        _text("number_sid"),
        _text("name"),
        _micros("saves_daily_micros"),
        _text("currency"),
        _text("reason"),
        _text("by"),
        _text("before", default=""),
        _time("confirmed_at", nullable=False),
        _time("done_at"),
        _check("releases", "step", "step IN ('remove_webhooks', 'release_number')"),
        _organization("releases"),
        sa.PrimaryKeyConstraint(
            "organization_id", "number_sid", "step", name=op.f("releases_pkey")
        ),
    )


def downgrade() -> None:
    _replace_changes(CHANGES)
    for table in ("releases", "recurring_readings", "recurring_costs", "reserves"):
        op.drop_table(table)


def _replace_changes(changes: tuple[str, ...]) -> None:
    # the wider check takes its place in the same transaction
    op.execute("""
        -- squawk-ignore ban-drop-constraint
        ALTER TABLE money_changes DROP CONSTRAINT money_changes_change_check
    """)
    op.create_check_constraint(
        op.f("money_changes_change_check"),
        "money_changes",
        "change IN ('" + "', '".join(changes) + "')",
        postgresql_not_valid=True,
    )
