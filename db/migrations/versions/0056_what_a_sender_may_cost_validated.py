"""what a sender may cost, validated

Revision ID: 0056
Revises: 0055
"""

from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None
needed = False


def upgrade() -> None:
    op.execute("ALTER TABLE organizations VALIDATE CONSTRAINT organizations_rcs_price_check")


def downgrade() -> None:
    """What is validated stays so."""
