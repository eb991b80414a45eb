"""waiting campaigns

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TIMES = ("rung_at", "waits_until", "since")
TEXTS = ("detail", "waits_for")
OPEN = "status IN ('running', 'parked', 'paused', 'scheduled')"


def upgrade() -> None:
    for name in TIMES:
        op.add_column("campaigns", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    for name in TEXTS:
        op.add_column("campaigns", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.create_index(
        "campaigns_open_idx",
        "campaigns",
        ["status", "reason", "waits_for"],
        postgresql_where=sa.text(OPEN),
    )


def downgrade() -> None:
    op.drop_index("campaigns_open_idx", "campaigns")
    for name in (*TEXTS, *TIMES):
        op.drop_column("campaigns", name)
