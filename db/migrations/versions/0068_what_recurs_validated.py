"""what recurs, validated

Revision ID: 0068
Revises: 0067
"""

from alembic import op

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None
needed = False


def upgrade() -> None:
    op.execute("ALTER TABLE recurring_costs VALIDATE CONSTRAINT recurring_costs_kind_check")
    op.execute("ALTER TABLE releases VALIDATE CONSTRAINT releases_step_check")


def downgrade() -> None:
    """What is validated stays so."""
