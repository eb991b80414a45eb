"""moving customers

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATES = (
    "'started', 'waiting', 'checked', 'offered', 'consented', 'stopping', 'stopped', 'undoing', 'completed', 'refused', "
    "'abandoned', 'canceled', 'undone', 'failed'"
)
OVER = "'completed', 'refused', 'abandoned', 'canceled', 'undone', 'failed'"


def _time(name: str, *, now: bool = False) -> "sa.Column[object]":
    default = sa.text("clock_timestamp()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=not now)


def upgrade() -> None:
    op.create_table(
        "migrations",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("source_provider", sa.Text(), nullable=False),
        sa.Column("source_subscription_id", sa.Text(), nullable=False),
        sa.Column("target_provider", sa.Text(), nullable=False),
        sa.Column("target_plan_id", sa.Text(), nullable=False),
        sa.Column("target_subscription_id", sa.Text(), nullable=True),
        sa.Column("return_url", sa.Text(), nullable=False),
        sa.Column("cancel_url", sa.Text(), nullable=False),
        sa.Column("checkout_url", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        _time("first_charge_at"),
        _time("expires_at"),
        _time("started_at", now=True),
        _time("changed_at", now=True),
        _time("ended_at"),
        sa.CheckConstraint(
            "source_provider IN ('paypal', 'stripe')", name=op.f("migrations_source_provider_check")
        ),
        sa.CheckConstraint(
            "target_provider IN ('paypal', 'stripe')", name=op.f("migrations_target_provider_check")
        ),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("migrations_state_check")),
        sa.CheckConstraint(
            "source_provider <> target_provider", name=op.f("migrations_elsewhere_check")
        ),
        sa.CheckConstraint(
            f"(state IN ({OVER})) = (ended_at IS NOT NULL)", name=op.f("migrations_ended_check")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("migrations_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("migrations_pkey")),
    )
    op.create_index(
        "migrations_one_open_idx",
        "migrations",
        ["organization_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "migration_cohorts",
        sa.Column("target_provider", sa.Text(), nullable=False),
        sa.Column("paused", sa.Text(), nullable=True),
        _time("counted_since", now=True),
        sa.CheckConstraint(
            "target_provider IN ('paypal', 'stripe')",
            name=op.f("migration_cohorts_target_provider_check"),
        ),
        sa.PrimaryKeyConstraint("target_provider", name=op.f("migration_cohorts_pkey")),
    )
    op.create_table(
        "listings",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("listed_until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "provider IN ('paypal', 'stripe')", name=op.f("listings_provider_check")
        ),
        sa.PrimaryKeyConstraint("provider", name=op.f("listings_pkey")),
    )


def downgrade() -> None:
    op.drop_table("listings")
    op.drop_table("migration_cohorts")
    op.drop_index("migrations_one_open_idx", table_name="migrations")
    op.drop_table("migrations")
