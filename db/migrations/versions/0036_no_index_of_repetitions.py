"""no index of repetitions

Only older builds read it, once in a quarter of an hour.

Revision ID: 0036
Revises: 0035
"""

from alembic import op

from db.migrations import indexes

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None
needed = False


def upgrade() -> None:
    indexes.replace(create=(), drop=("inbox_repeated_idx",))


def downgrade() -> None:
    op.execute(
        "CREATE INDEX inbox_repeated_idx ON inbox (provider) INCLUDE (deliveries)"
        " WHERE deliveries > 1"
    )
