"""reserves validated

Revision ID: 0046
Revises: 0045
"""

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None
needed = False


def upgrade() -> None:
    op.execute("ALTER TABLE money_changes VALIDATE CONSTRAINT money_changes_change_check")


def downgrade() -> None:
    pass
