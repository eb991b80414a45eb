"""status checks

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")
MESSAGE = ["messages.organization_id", "messages.id"]


def upgrade() -> None:
    """What is stored already has its sids from Twilio's own answers or lists, or cannot be asked about any more."""
    op.add_column(
        "messages",
        sa.Column("sid_confirmed", sa.Boolean(), server_default=sa.text("true"), nullable=False),
    )
    op.create_table(
        "status_checks",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("message_sid", sa.Text(), nullable=False),
        sa.Column("told", sa.Text()),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "message_id", "message_sid", name=op.f("status_checks_pkey")
        ),
    )
    op.create_index("status_checks_due_idx", "status_checks", ["organization_id", "next_at"])
    op.create_table(
        "unpaid_sends",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("message_sid", sa.Text(), nullable=False),
        sa.Column("delivery_status", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("charged_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint(
            "organization_id", "message_id", "attempt", name=op.f("unpaid_sends_pkey")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "message_id"],
            MESSAGE,
            name=op.f("unpaid_sends_organization_id_fkey"),
        ),
    )
    op.create_index(
        "unpaid_sends_open_idx",
        "unpaid_sends",
        ["organization_id", "found_at"],
        postgresql_where=sa.text("charged_at IS NULL"),
    )
    op.create_index(
        "attempts_sid_idx",
        "attempts",
        ["organization_id", "provider_sid"],
        postgresql_where=sa.text("provider_sid IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("attempts_sid_idx", "attempts")
    op.drop_table("unpaid_sends")
    op.drop_table("status_checks")
    op.drop_column("messages", "sid_confirmed")
