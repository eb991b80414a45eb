"""indexes of what is open

What runs often finds its rows by an index; organizations are counted as their standings change.

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

from db.migrations import indexes

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

INDEXES = (
    "alerts_open_idx ON alerts (raised_at, kind) WHERE cleared_at IS NULL",
    "attempts_sending_idx ON attempts (organization_id, sending_at) WHERE sending_at IS NOT NULL",
    "inbox_arrivals_idx ON inbox (provider, received_at)",
    "inbox_subscription_idx ON inbox (provider, provider_subscription_id)",
    "inbox_unhandled_idx ON inbox (next_attempt_at) WHERE status = 'unhandled'",
    (
        "inbox_unknown_idx ON inbox (next_attempt_at)"
        " WHERE status = 'parked' AND outcome ~~ 'unknown %'"
    ),
    "ledger_entries_created_idx ON ledger_entries (created_at, organization_id)",
    "messages_sending_idx ON messages (organization_id, sending_at) WHERE sending_at IS NOT NULL",
    "standings_stuck_idx ON standings (status) WHERE stuck_step IS NOT NULL",
    "status_checks_next_idx ON status_checks (next_at, organization_id)",
    "subscriptions_left_idx ON subscriptions (state, organization_id) WHERE NOT is_current",
)
COUNT = """
CREATE FUNCTION count_standing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO standing_counts (status, number) VALUES (OLD.status, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO standing_counts (status, number) VALUES (NEW.status, 1);
    END IF;
    RETURN NULL;
END $$
"""
COUNTED = """
CREATE TRIGGER standings_counted AFTER INSERT OR DELETE ON standings
FOR EACH ROW EXECUTE FUNCTION count_standing()
"""
CHANGED = """
CREATE TRIGGER standings_counted_anew AFTER UPDATE OF status ON standings
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION count_standing()
"""
# behind the triggers, whose creation waits for the changes under way
SO_FAR = """
INSERT INTO standing_counts (status, number) SELECT status, count(*) FROM standings GROUP BY status
"""


def upgrade() -> None:
    indexes.replace(create=INDEXES, drop=("inbox_received_idx",))
    op.create_table(
        "standing_counts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("standing_counts_pkey")),
    )
    for statement in (COUNT, COUNTED, CHANGED, SO_FAR):
        op.execute(statement)


def downgrade() -> None:
    op.execute("CREATE INDEX inbox_received_idx ON inbox USING brin (received_at)")
    for index in reversed(INDEXES):
        op.execute(f"DROP INDEX {index.partition(' ')[0]}")
    op.execute("DROP TRIGGER standings_counted_anew ON standings")
    op.execute("DROP TRIGGER standings_counted ON standings")
    op.execute("DROP FUNCTION count_standing")
    op.drop_table("standing_counts")
