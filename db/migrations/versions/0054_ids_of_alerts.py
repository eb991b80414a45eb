"""ids of alerts

An alert is found by its id.

Revision ID: 0054
Revises: 0053
"""

from alembic import op

from db.migrations import indexes

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    indexes.replace(create=(), unique=("alerts_id_idx ON alerts (id)",))


def downgrade() -> None:
    op.execute("DROP INDEX alerts_id_idx")
