"""bodies

Each body of an event is a row of its own; before, the first one kept others out.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "inbox_body_idx", "inbox", ["provider", "event_id", sa.text("sha256(body)")], unique=True
    )
    op.create_index("inbox_transmission_idx", "inbox", ["provider", "transmission_id"])
    op.drop_constraint("inbox_provider_event_id_key", "inbox")
    op.drop_constraint("inbox_provider_transmission_id_key", "inbox")


def downgrade() -> None:
    op.create_unique_constraint(
        "inbox_provider_transmission_id_key", "inbox", ["provider", "transmission_id"]
    )
    op.create_unique_constraint("inbox_provider_event_id_key", "inbox", ["provider", "event_id"])
    op.drop_index("inbox_transmission_idx", "inbox")
    op.drop_index("inbox_body_idx", "inbox")
