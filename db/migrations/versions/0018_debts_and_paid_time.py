"""debts, paid time, and what only webhooks told

A row that is past due or suspended owes since its newest time; what the others were paid until is what was told, until
the provider is asked again. A process of the release before goes on: it knows none of these columns.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TIMES = ("paid_until", "paid_at", "word_as_of", "word_until", "word_since", "doubted_at")
CLOSING = "'past_due', 'suspended_nonpayment', 'paused', 'canceled', 'expired'"


def upgrade() -> None:
    for name in TIMES:
        op.add_column("subscriptions", sa.Column(name, sa.DateTime(timezone=True)))
    op.add_column(
        "subscriptions",
        sa.Column("shut_for_debt", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("subscriptions", sa.Column("word_state", sa.Text()))
    op.create_check_constraint("word_state", "subscriptions", f"word_state IN ({CLOSING})")
    op.create_index(
        "payments_subscription_idx",
        "payments",
        ["organization_id", "provider", "provider_subscription_id", "occurred_at"],
        postgresql_where=sa.text("kind = 'subscription'"),
    )
    op.execute(
        "UPDATE subscriptions SET past_due_since = coalesce(past_due_since, as_of, linked_at),"
        " shut_for_debt = (state = 'suspended_nonpayment') WHERE state IN ('past_due', 'suspended_nonpayment')"
    )
    op.execute(
        "UPDATE subscriptions SET paid_until = access_until"
        " WHERE state NOT IN ('past_due', 'suspended_nonpayment', 'paused')"
    )


def downgrade() -> None:
    op.drop_index("payments_subscription_idx", "payments")
    op.drop_constraint("subscriptions_word_state_check", "subscriptions")
    for name in (*TIMES, "shut_for_debt", "word_state"):
        op.drop_column("subscriptions", name)
