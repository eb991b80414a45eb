"""index of changes of alerts

What is to be told of alerts is found.

Revision ID: 0065
Revises: 0064
"""

from alembic import op

from db.migrations import indexes

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None


def upgrade() -> None:
    indexes.replace(
        create=("alert_changes_waiting_idx ON alert_changes (id) WHERE NOT fanned_out",)
    )


def downgrade() -> None:
    op.execute("DROP INDEX alert_changes_waiting_idx")
