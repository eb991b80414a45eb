"""kinds validated

The checks that the migration before replaced hold for the rows that were there, too.

Revision ID: 0038
Revises: 0037
"""

from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None
needed = False

CHECKS = (
    ("ledger_entries", "ledger_entries_kind_check"),
    ("ledger_entries", "ledger_entries_sign_check"),
    ("blocks", "blocks_kind_check"),
)


def upgrade() -> None:
    for table, name in CHECKS:
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    pass
