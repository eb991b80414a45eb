"""top-ups with their payments

Which payment a top-up was paid by; lists of top-ups, and of ledger entries by their kind.

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

from db.migrations import indexes

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    indexes.replace(
        create=(
            "topups_newest_idx ON topups (organization_id, created_at, checkout_id)",
            (
                "ledger_entries_kind_idx ON ledger_entries (organization_id, kind, seq)"
                " WHERE kind <> 'debit'"
            ),
        )
    )
    op.add_column("topups", sa.Column("payment_id", sa.Text()))


def downgrade() -> None:
    op.execute("DROP INDEX ledger_entries_kind_idx")
    op.execute("DROP INDEX topups_newest_idx")
    op.drop_column("topups", "payment_id")
