"""money facts: reversals and top-up checkouts

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KIND, SIGN = "ledger_entries_kind_check", "ledger_entries_sign_check"
PAYMENT = "payments_kind_check"
OWED = "payment_kind = 'topup' AND returned_at IS NULL AND taken_micros + recovered_micros + waived_micros < amount_micros"


def _micros(name: str, *, zero: bool = False) -> sa.Column[int]:
    return sa.Column(
        name, sa.BigInteger(), nullable=False, server_default=sa.text("0") if zero else None
    )


def _time(name: str, *, now: bool = False) -> sa.Column[object]:
    default = sa.text("clock_timestamp()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not now, server_default=default)


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"{table}_{name}_check"))


def upgrade() -> None:
    for name in (op.f(KIND), op.f(SIGN)):
        op.drop_constraint(name, "ledger_entries", type_="check")
    op.create_check_constraint(
        op.f(KIND),
        "ledger_entries",
        "kind IN ('credit', 'debit', 'refund', 'reversal', 'recovery')",
    )
    op.create_check_constraint(
        op.f(SIGN),
        "ledger_entries",
        "(kind IN ('debit', 'reversal', 'recovery')) = (amount_micros < 0)",
    )
    op.drop_constraint(op.f(PAYMENT), "payments", type_="check")
    op.create_check_constraint(
        op.f(PAYMENT), "payments", "kind IN ('subscription', 'topup', 'returned')"
    )
    _create_reversals()
    _create_topups()


def _create_reversals() -> None:
    parts = "taken_micros + recovered_micros + waived_micros"
    op.create_table(
        "reversals",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("payment_kind", sa.Text(), nullable=False),
        _micros("told_micros"),
        _micros("amount_micros"),
        _micros("taken_micros", zero=True),
        _micros("recovered_micros", zero=True),
        _micros("waived_micros", zero=True),
        sa.Column("recoveries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _time("occurred_at"),
        _time("booked_at", now=True),
        _time("returned_at"),
        _check("reversals", "what", "what IN ('refund', 'dispute')"),
        _check("reversals", "payment_kind", "payment_kind IN ('subscription', 'topup')"),
        _check("reversals", "amount", "amount_micros BETWEEN 0 AND told_micros"),
        _check(
            "reversals",
            "parts",
            "taken_micros >= 0 AND recovered_micros >= 0 AND waived_micros >= 0",
        ),
        _check("reversals", "whole", f"{parts} <= amount_micros"),
        _check("reversals", "subscription", f"payment_kind = 'topup' OR {parts} = 0"),
        _check("reversals", "recoveries", "(recoveries > 0) = (recovered_micros > 0)"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("reversals_organization_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "provider", "payment_id"],
            ["payments.organization_id", "payments.provider", "payments.object_id"],
            name=op.f("reversals_organization_id_provider_payment_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "provider", "object_id", name=op.f("reversals_pkey")
        ),
        sa.UniqueConstraint("provider", "object_id", name=op.f("reversals_provider_object_id_key")),
    )
    op.create_index(
        "reversals_owed_idx",
        "reversals",
        ["organization_id", "booked_at"],
        postgresql_where=sa.text(OWED),
    )
    op.create_index(
        "reversals_payment_idx", "reversals", ["organization_id", "provider", "payment_id"]
    )


def _create_topups() -> None:
    op.create_table(
        "topups",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("checkout_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        _micros("amount_micros"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        _time("created_at", now=True),
        _time("settled_at"),
        _check("topups", "provider", "provider IN ('paypal', 'stripe')"),
        _check("topups", "status", "status IN ('open', 'paid', 'expired')"),
        _check("topups", "amount", "amount_micros > 0"),
        _check("topups", "settled", "(status = 'open') = (settled_at IS NULL)"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("topups_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "provider", "checkout_id", name=op.f("topups_pkey")
        ),
        sa.UniqueConstraint(
            "provider", "checkout_id", name=op.f("topups_provider_checkout_id_key")
        ),
        sa.UniqueConstraint(
            "organization_id",
            "idempotency_key",
            name=op.f("topups_organization_id_idempotency_key_key"),
        ),
    )
    op.create_index(
        "topups_open_idx",
        "topups",
        ["organization_id", "created_at"],
        postgresql_where=sa.text("status = 'open'"),
    )


def downgrade() -> None:
    op.drop_table("topups")
    op.drop_table("reversals")
    op.drop_constraint(op.f(PAYMENT), "payments", type_="check")
    op.create_check_constraint(op.f(PAYMENT), "payments", "kind IN ('subscription', 'topup')")
    for name in (op.f(KIND), op.f(SIGN)):
        op.drop_constraint(name, "ledger_entries", type_="check")
    op.create_check_constraint(
        op.f(KIND), "ledger_entries", "kind IN ('credit', 'debit', 'refund')"
    )
    op.create_check_constraint(
        op.f(SIGN), "ledger_entries", "(kind = 'debit') = (amount_micros < 0)"
    )
