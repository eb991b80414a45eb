"""funds validated

Revision ID: 0042
Revises: 0041
"""

from alembic import op

from db.migrations import indexes

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None
needed = False


def upgrade() -> None:
    indexes.replace(
        create=(
            "organizations_suspended_when_empty_idx ON organizations (id) WHERE when_empty = 'suspend'",
        )
    )
    for name in ("when_empty", "empty_grace", "reserve_days"):
        op.execute(f"ALTER TABLE organizations VALIDATE CONSTRAINT organizations_{name}_check")


def downgrade() -> None:
    op.drop_index("organizations_suspended_when_empty_idx", "organizations")
