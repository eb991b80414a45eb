"""questions of operators

Organizations are listed by the time of their last change, and those that are stuck; deliveries by
their status; messages are found among all organizations by their sid and by their recipient.

Revision ID: 0062
Revises: 0061
"""

from alembic import op

from db.migrations import indexes

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None
needed = False

INDEXES = (
    "standings_refused_idx ON standings (organization_id) WHERE stuck_step IS NOT NULL",
    "standings_since_idx ON standings (status, decided_at, organization_id)",
    "inbox_parked_idx ON inbox (id) WHERE status = 'parked'",
    "inbox_unhandled_ids_idx ON inbox (id) WHERE status = 'unhandled'",
    "messages_sid_idx ON messages (provider_sid) WHERE provider_sid IS NOT NULL",
    "attempts_any_sid_idx ON attempts (provider_sid) WHERE provider_sid IS NOT NULL",
    "messages_to_idx ON messages (recipient, created_at)",
)


def upgrade() -> None:
    indexes.replace(create=INDEXES)


def downgrade() -> None:
    for index in reversed(INDEXES):
        op.execute(f"DROP INDEX {index.partition(' ')[0]}")
