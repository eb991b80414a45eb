"""a fence for recoveries

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "database_marks",
        sa.Column("number", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("installation", sa.Uuid(), nullable=True),
        sa.Column(
            "advanced_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
    )
    op.create_index(
        "database_marks_one_idx", "database_marks", [sa.literal_column("(true)")], unique=True
    )
    op.create_table(
        "fences",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("shut_by", sa.Text(), nullable=False),
        sa.Column(
            "shut_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("opened_by", sa.Text(), nullable=True),
        sa.Column("opened_because", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(opened_at IS NULL) = (opened_by IS NULL) AND (opened_at IS NULL) = (opened_because IS NULL)",
            name=op.f("fences_opened_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("fences_pkey")),
    )
    op.create_index(
        "fences_one_shut_idx",
        "fences",
        [sa.literal_column("(opened_at IS NULL)")],
        unique=True,
        postgresql_where=sa.text("opened_at IS NULL"),
    )
    op.create_table(
        "unmatched_messages",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("message_sid", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("listed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "found_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("closed_because", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (closed_because IS NULL)",
            name=op.f("unmatched_messages_closed_check"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "message_sid", name=op.f("unmatched_messages_pkey")
        ),
    )
    op.create_index(
        "unmatched_messages_open_idx",
        "unmatched_messages",
        ["organization_id", "found_at"],
        unique=False,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.execute("INSERT INTO database_marks DEFAULT VALUES")


def downgrade() -> None:
    op.drop_index(
        "unmatched_messages_open_idx",
        table_name="unmatched_messages",
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.drop_table("unmatched_messages")
    op.drop_index(
        "fences_one_shut_idx", table_name="fences", postgresql_where=sa.text("opened_at IS NULL")
    )
    op.drop_table("fences")
    op.drop_index("database_marks_one_idx", table_name="database_marks")
    op.drop_table("database_marks")
