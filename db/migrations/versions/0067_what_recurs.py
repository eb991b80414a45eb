"""what recurs

Short codes and 10DLC campaigns are recurring costs of their own, and recordings and short codes can
be given up.

Revision ID: 0067
Revises: 0066
"""

from alembic import op

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None

KINDS = ("number", "usage")
STEPS = ("remove_webhooks", "release_number")


def upgrade() -> None:
    _replace("recurring_costs", "kind", ("number", "short_code", "us_campaign", "usage"))
    _replace(
        "releases",
        "step",
        ("remove_webhooks", "delete_recordings", "release_number", "return_short_code"),
    )


def downgrade() -> None:
    op.execute("DELETE FROM recurring_costs WHERE kind NOT IN ('number', 'usage')")
    op.execute("DELETE FROM releases WHERE step NOT IN ('remove_webhooks', 'release_number')")
    _replace("recurring_costs", "kind", KINDS)
    _replace("releases", "step", STEPS)


def _replace(table: str, column: str, values: tuple[str, ...]) -> None:
    check = f"{table}_{column}_check"
    # the wider check takes its place in the same transaction
    op.execute(f"""
        -- squawk-ignore ban-drop-constraint
        ALTER TABLE {table} DROP CONSTRAINT {check}
    """)
    op.create_check_constraint(
        op.f(check),
        table,
        f"{column} IN ('" + "', '".join(values) + "')",
        postgresql_not_valid=True,
    )
