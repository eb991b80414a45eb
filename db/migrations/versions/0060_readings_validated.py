"""readings validated

Revision ID: 0060
Revises: 0059
"""

from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None
needed = False


def upgrade() -> None:
    op.execute("ALTER TABLE money_changes VALIDATE CONSTRAINT money_changes_change_check")
    op.execute("ALTER TABLE message_readings VALIDATE CONSTRAINT message_readings_page_check")


def downgrade() -> None:
    pass
