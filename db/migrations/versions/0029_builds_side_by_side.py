"""builds side by side

The database says which builds may still run on it.

Revision ID: 0029
Revises: 0028
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schema_support",
        sa.Column("only_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("oldest_build", sa.Text(), nullable=False),
        sa.CheckConstraint("only_row", name=op.f("schema_support_only_row_check")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("schema_support_pkey")),
    )
    op.execute("INSERT INTO schema_support (oldest_build) VALUES ('0028')")


def downgrade() -> None:
    op.drop_table("schema_support")
