"""events

What happened, written in the transaction of each fact.

Revision ID: 0052
Revises: 0051
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column(
            "id",
            sa.Text(),
            server_default=sa.text(
                "('evt_'::text || replace((uuidv7())::text, '-'::text, ''::text))"
            ),
            nullable=False,
        ),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.Column(
            "occurred_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("fanned_out", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("events_pkey")),
        sa.UniqueConstraint("sequence", name=op.f("events_sequence_key")),
    )
    op.create_index("events_organization_idx", "events", ["organization_id", "sequence"])
    op.create_index("events_type_idx", "events", ["type", "sequence"])
    op.create_index("events_time_idx", "events", ["occurred_at"])
    op.create_index(
        "events_waiting_idx",
        "events",
        ["sequence"],
        postgresql_where=sa.text("NOT fanned_out"),
    )
    op.create_table("event_log_start", sa.Column("at", sa.DateTime(timezone=True), nullable=False))
    # builds that write no events may run for a while beside the new ones, but not on a new database
    op.execute(
        """
        INSERT INTO event_log_start (at)
        SELECT CASE WHEN EXISTS (SELECT FROM organizations)
                    THEN clock_timestamp() + interval '1 day' ELSE 'epoch' END
        """
    )


def downgrade() -> None:
    op.drop_table("event_log_start")
    op.drop_table("events")
