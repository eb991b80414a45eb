"""checkpoints

What `certify` verified, and indexes that find what is new since.

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

from db.migrations import indexes

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

TIMES = {
    "attempts": ["ended_at"],
    "campaign_changes": ["at"],
    "campaigns": ["created_at"],
    "gate_changes": ["at"],
    "holds": ["created_at", "closed_at"],
    "inbox": ["received_at", "handled_at"],
    "messages": ["sending_at", "settled_at"],
    "money_changes": ["at"],
    "payments": ["booked_at"],
    "receipts": ["decided_at", "finished_at"],
    "reversals": ["booked_at", "returned_at"],
    "topups": ["settled_at"],
    "unpaid_sends": ["found_at", "charged_at"],
}
INDEXES = (
    *(
        f"{table}_times_idx ON {table} USING brin ({', '.join(columns)}) WITH (autosummarize = on)"
        for table, columns in TIMES.items()
    ),
    (
        "inbox_disputes_idx ON inbox (handled_at)"
        " WHERE money_kind = 'dispute' AND status = 'handled'"
    ),
    "money_changes_reference_idx ON money_changes (organization_id, reference_id)",
    "money_changes_seq_idx ON money_changes (organization_id, after_seq)",
)
APPEND_ONLY = """
CREATE TRIGGER checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints
FOR EACH STATEMENT EXECUTE FUNCTION refuse_changes()
"""


def upgrade() -> None:
    indexes.replace(create=INDEXES)
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("link", sa.BigInteger(), nullable=False),
        sa.Column("link_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("checks", sa.Text(), nullable=False),
        sa.Column("everything", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "made_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("length(sha256) = 32", name=op.f("checkpoints_sha256_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("checkpoints_pkey")),
    )
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    for index in reversed(INDEXES):
        op.execute(f"DROP INDEX {index.partition(' ')[0]}")
    op.drop_table("checkpoints")
