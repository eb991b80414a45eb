"""acts of operators

What operators did that is recorded nowhere else, with who and why; and acts over many
organizations, which are previewed, confirmed, and done one by one.

Revision ID: 0063
Revises: 0062
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")
APPEND_ONLY = """
CREATE TRIGGER operator_acts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_acts
FOR EACH STATEMENT EXECUTE FUNCTION refuse_changes()
"""


def upgrade() -> None:
    op.create_table(
        "operator_acts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=NOW,
            nullable=False,
        ),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("operator_acts_pkey")),
    )
    op.create_index("operator_acts_organization_idx", "operator_acts", ["organization_id", "id"])
    op.execute(APPEND_ONLY)
    _create_bulk_acts()


def _create_bulk_acts() -> None:
    op.create_table(
        "bulk_acts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("filters", postgresql.JSONB(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("organizations", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default="previewed", nullable=False),
        sa.Column("previewed_by", sa.Text(), nullable=False),
        sa.Column("previewed_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("bulk_acts_pkey")),
        *(
            sa.CheckConstraint(rule, name=op.f(f"bulk_acts_{name}_check"))
            for name, rule in (
                ("kind", "kind IN ('suspend', 'freeze', 'credit')"),
                ("status", "status IN ('previewed', 'running', 'done')"),
                ("amount", "(kind = 'credit') = (amount_micros IS NOT NULL)"),
                ("positive", "amount_micros > 0"),
                ("confirmed", "(status = 'previewed') = (confirmed_at IS NULL)"),
                ("finished", "(status = 'done') = (finished_at IS NOT NULL)"),
            )
        ),
    )
    running = sa.text("status = 'running'")
    op.create_index("bulk_acts_running_idx", "bulk_acts", ["id"], postgresql_where=running)
    op.create_table(
        "bulk_act_targets",
        sa.Column("bulk_act_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'done', 'refused')", name=op.f("bulk_act_targets_status_check")
        ),
        sa.ForeignKeyConstraint(
            ["bulk_act_id"], ["bulk_acts.id"], name=op.f("bulk_act_targets_bulk_act_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "bulk_act_id", "organization_id", name=op.f("bulk_act_targets_pkey")
        ),
    )
    columns = ["bulk_act_id", "status", "organization_id"]
    op.create_index("bulk_act_targets_status_idx", "bulk_act_targets", columns)


def downgrade() -> None:
    op.drop_table("bulk_act_targets")
    op.drop_table("bulk_acts")
    op.drop_table("operator_acts")
