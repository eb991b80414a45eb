"""parked campaigns

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "campaigns_parked_idx",
        "campaigns",
        ["organization_id"],
        postgresql_where=sa.text("status = 'parked'"),
    )


def downgrade() -> None:
    op.drop_index("campaigns_parked_idx", "campaigns")
