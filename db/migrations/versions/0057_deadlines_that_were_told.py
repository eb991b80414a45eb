"""deadlines that were told

Revision ID: 0057
Revises: 0056
"""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("standings", sa.Column("warned_of", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("standings", "warned_of")
