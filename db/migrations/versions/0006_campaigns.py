"""campaigns at speed

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CAMPAIGNS = ("draft", "running", "parked", "paused", "completed")
MESSAGES = ("pending", "reserved", "sending", "accepted", "refused", "unknown", "lost")


def upgrade() -> None:
    op.create_table(
        "pace",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pace_pkey")),
    )
    op.create_table(
        "opt_outs",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column(
            "since",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("opt_outs_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "recipient", name=op.f("opt_outs_pkey")),
    )
    op.create_table(
        "attempts",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("provider_sid", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("sending_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "message_id"],
            ["messages.organization_id", "messages.id"],
            name=op.f("attempts_organization_id_message_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "message_id", "attempt", name=op.f("attempts_pkey")
        ),
    )
    op.add_column("organizations", sa.Column("messages_per_second", sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("organizations_pace_check"), "organizations", "messages_per_second > 0"
    )
    op.add_column("campaigns", sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("campaigns_scheduled_check"),
        "campaigns",
        "status <> 'scheduled' OR scheduled_at IS NOT NULL",
    )
    op.create_index(
        "campaigns_due_idx",
        "campaigns",
        ["scheduled_at"],
        postgresql_where=sa.text("status = 'scheduled'"),
    )
    _allow("campaigns", (*CAMPAIGNS, "scheduled", "canceled"))
    _allow("messages", (*MESSAGES, "skipped"))
    _index_by("organization_id", "campaign_id", "status", "position")
    op.execute(
        "ALTER TABLE messages SET (fillfactor = 70)"
    )  # a callback then changes a row within its page


def downgrade() -> None:
    op.execute("ALTER TABLE messages RESET (fillfactor)")
    _index_by("organization_id", "campaign_id", "position")
    _allow("messages", MESSAGES)
    op.drop_constraint(op.f("campaigns_scheduled_check"), "campaigns")
    _allow("campaigns", CAMPAIGNS)
    op.drop_index("campaigns_due_idx", "campaigns")
    op.drop_column("campaigns", "scheduled_at")
    op.drop_column("organizations", "messages_per_second")
    op.drop_table("attempts")
    op.drop_table("opt_outs")
    op.drop_table("pace")


def _index_by(*columns: str) -> None:
    op.drop_index("messages_to_send_idx", "messages")
    waiting = sa.text("status IN ('pending', 'reserved', 'sending', 'unknown')")
    op.create_index("messages_to_send_idx", "messages", list(columns), postgresql_where=waiting)


def _allow(table: str, statuses: tuple[str, ...]) -> None:
    op.drop_constraint(op.f(f"{table}_status_check"), table)
    allowed = ", ".join(f"'{status}'" for status in statuses)
    op.create_check_constraint(op.f(f"{table}_status_check"), table, f"status IN ({allowed})")
