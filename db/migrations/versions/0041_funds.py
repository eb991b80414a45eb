"""funds

What an organization's empty wallet leads to, and for how many days its recurring cost is reserved.

Revision ID: 0041
Revises: 0040
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

CHECKS = (
    ("when_empty", "when_empty IN ('keep', 'suspend')"),
    ("empty_grace", "empty_grace_seconds >= 0"),
    ("reserve_days", "reserve_days BETWEEN 0 AND 366"),
)


def upgrade() -> None:
    op.add_column(
        "organizations", sa.Column("when_empty", sa.Text(), server_default="keep", nullable=False)
    )
    op.add_column(
        "organizations",
        sa.Column(
            "empty_grace_seconds", sa.Integer(), server_default=sa.text("86400"), nullable=False
        ),
    )
    op.add_column(
        "organizations",
        sa.Column("reserve_days", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    for name, rule in CHECKS:
        op.create_check_constraint(
            op.f(f"organizations_{name}_check"), "organizations", rule, postgresql_not_valid=True
        )


def downgrade() -> None:
    for column in ("when_empty", "empty_grace_seconds", "reserve_days"):
        op.drop_column("organizations", column)
