"""lists of organizations

By status, by block, and by the words of their id and name.

Revision ID: 0025
Revises: 0024
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_BLOCKS = ("nonpayment", "canceled", "dispute", "admin", "telephony")


def upgrade() -> None:
    op.execute(
        "CREATE INDEX organizations_words_idx ON organizations USING gin"
        " (to_tsvector('simple'::regconfig, translate(id || ' ' || name, '._-', '   ')))"
    )
    op.execute("CREATE INDEX standings_status_idx ON standings (status, organization_id)")
    for block in _BLOCKS:
        op.execute(
            f"CREATE INDEX standings_{block}_idx ON standings (organization_id)"
            f" WHERE '{block}' = ANY (blocks)"
        )


def downgrade() -> None:
    for block in _BLOCKS:
        op.execute(f"DROP INDEX standings_{block}_idx")
    op.execute("DROP INDEX standings_status_idx")
    op.execute("DROP INDEX organizations_words_idx")
