"""subaccounts

Which parent account owns an organization's subaccount, null until Twilio is asked, and the token that signs its callbacks,
encrypted.

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organizations", sa.Column("twilio_parent_sid", sa.Text()))
    op.create_table(
        "subaccount_tokens",
        sa.Column("account_sid", sa.Text(), nullable=False),
        sa.Column("encrypted", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_sid", name=op.f("subaccount_tokens_pkey")),
    )


def downgrade() -> None:
    op.drop_table("subaccount_tokens")
    op.drop_column("organizations", "twilio_parent_sid")
