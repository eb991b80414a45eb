"""readings continued

A correction reduces what was waived; the sums of a subaccount's usage are compared by category; a
list of messages is read on where the last reading ended.

Revision ID: 0059
Revises: 0058
"""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None

CHANGES = (
    "hold_opened", "hold_captured", "hold_released", "hold_expired", "debt_waived", "reserve_held",
    "reserve_released",
)  # fmt: skip


def upgrade() -> None:
    op.add_column("carrier_readings", sa.Column("compared_at", sa.DateTime(timezone=True)))
    op.add_column("message_readings", sa.Column("page", sa.Text()))
    for name in ("page_since", "page_until"):
        op.add_column("message_readings", sa.Column(name, sa.DateTime(timezone=True)))
    op.create_check_constraint(
        op.f("message_readings_page_check"),
        "message_readings",
        "(page IS NULL) = (page_since IS NULL)",
        postgresql_not_valid=True,
    )
    _replace_changes((*CHANGES[:5], "waiver_reduced", *CHANGES[5:]))


def downgrade() -> None:
    _replace_changes(CHANGES)
    op.drop_constraint(op.f("message_readings_page_check"), "message_readings")
    for name in ("page_until", "page_since", "page"):
        op.drop_column("message_readings", name)
    op.drop_column("carrier_readings", "compared_at")


def _replace_changes(changes: tuple[str, ...]) -> None:
    # the wider check takes its place in the same transaction
    op.execute("""
        -- squawk-ignore ban-drop-constraint
        ALTER TABLE money_changes DROP CONSTRAINT money_changes_change_check
    """)
    op.create_check_constraint(
        op.f("money_changes_change_check"),
        "money_changes",
        "change IN ('" + "', '".join(changes) + "')",
        postgresql_not_valid=True,
    )
