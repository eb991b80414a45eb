"""lists of messages

By status, of an organization and of a campaign, and by recipient.

Revision ID: 0026
Revises: 0025
"""

from alembic import op

from db.migrations import indexes

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    indexes.replace(
        create=(
            "messages_newest_idx ON messages (organization_id, status, created_at, id)",
            "messages_status_idx ON messages (organization_id, campaign_id, status, position)",
        ),
        unique=("messages_recipient_idx ON messages (organization_id, recipient, campaign_id)",),
        drop=("messages_to_send_idx", "messages_recipient_once_idx"),
    )


def downgrade() -> None:
    op.execute(
        "CREATE UNIQUE INDEX messages_recipient_once_idx"
        " ON messages (organization_id, recipient, campaign_id) WHERE campaign_id IS NOT NULL"
    )
    op.execute("DROP INDEX messages_recipient_idx")
    op.execute(
        "CREATE INDEX messages_to_send_idx"
        " ON messages (organization_id, campaign_id, status, position)"
        " WHERE status IN ('pending', 'reserved', 'sending', 'unknown')"
    )
    op.execute("DROP INDEX messages_status_idx")
    op.execute("DROP INDEX messages_newest_idx")
