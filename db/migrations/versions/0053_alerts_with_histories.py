"""alerts with histories

Each alert has an id, an owner and a history; those that ended are kept apart from the open ones.

Revision ID: 0053
Revises: 0052
"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "past_alerts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("past_alerts_pkey")),
    )
    op.create_index("past_alerts_raised_idx", "past_alerts", ["raised_at", "id"])
    op.create_index("past_alerts_organization_idx", "past_alerts", ["organization_id", "kind"])
    op.create_table(
        "alert_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=True),
        sa.Column(
            "made_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "change IN ('raised', 'repeated', 'acknowledged', 'cleared', 'closed')",
            name=op.f("alert_changes_change_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_changes_pkey")),
    )
    op.create_index("alert_changes_alert_idx", "alert_changes", ["alert_id", "id"])
    op.add_column("alerts", sa.Column("id", sa.Text(), nullable=True))
    op.add_column("alerts", sa.Column("owner", sa.Text(), nullable=True))
    op.add_column("alerts", sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE alerts SET id = 'alt_' || replace(gen_random_uuid()::text, '-', '')")
    op.execute(
        """
        WITH gone AS (DELETE FROM alerts WHERE cleared_at IS NOT NULL RETURNING *)
        INSERT INTO past_alerts (id, organization_id, kind, detail, raised_at, last_seen_at, cleared_at, times)
        SELECT id, organization_id, kind, detail, raised_at, last_seen_at, cleared_at, times FROM gone
        """
    )
    op.execute(
        "INSERT INTO alert_changes (alert_id, organization_id, kind, change, note, made_at)"
        " SELECT id, organization_id, kind, 'raised', detail, raised_at FROM alerts"
    )


def downgrade() -> None:
    op.execute(
        """
        INSERT INTO alerts (organization_id, kind, detail, raised_at, last_seen_at, cleared_at, times)
        SELECT DISTINCT ON (organization_id, kind)
               organization_id, kind, detail, raised_at, last_seen_at, cleared_at, times
        FROM past_alerts ORDER BY organization_id, kind, cleared_at DESC
        ON CONFLICT (organization_id, kind) DO NOTHING
        """
    )
    op.drop_column("alerts", "acknowledged_at")
    op.drop_column("alerts", "owner")
    op.drop_column("alerts", "id")
    op.drop_table("alert_changes")
    op.drop_table("past_alerts")
