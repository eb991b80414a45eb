"""charged from

Nothing that Twilio charged before this version is charged to anybody.

Revision ID: 0044
Revises: 0043
"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("carrier_readings", sa.Column("charged_from", sa.Date(), nullable=True))
    op.execute(
        """
        INSERT INTO carrier_readings (organization_id, charged_from)
        SELECT id, CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) + 1 FROM organizations
        ON CONFLICT DO NOTHING
        """
    )


def downgrade() -> None:
    op.drop_column("carrier_readings", "charged_from")
