"""switches

An alert about a customer's switch is called after it: a migration is the schema's alone. Where a process of the release
before has raised both meanwhile, the newer name's stays.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rename("migration_stuck", "switch_stuck")


def downgrade() -> None:
    _rename("switch_stuck", "migration_stuck")


def _rename(old: str, new: str) -> None:
    alerts = sa.table("alerts", sa.column("organization_id"), sa.column("kind"))
    other = alerts.alias()
    of_new = sa.select(other.c.kind).where(
        other.c.organization_id == alerts.c.organization_id, other.c.kind == new
    )
    op.execute(alerts.update().where(alerts.c.kind == old, ~of_new.exists()).values(kind=new))
    op.execute(alerts.delete().where(alerts.c.kind == old))
