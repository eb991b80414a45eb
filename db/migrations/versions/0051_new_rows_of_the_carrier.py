"""new rows of the carrier

What is new of segments and of early charges is found by its times, and the totals of a month by
their days.

Revision ID: 0051
Revises: 0050
"""

from alembic import op

from db.migrations import indexes

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

INDEXES = (
    "carrier_usage_total_idx ON carrier_usage (day, organization_id) WHERE category = 'totalprice'",
    (
        "foreign_charges_times_idx ON foreign_charges USING brin (charged_at, returned_at)"
        " WITH (autosummarize = on)"
    ),
    (
        "segment_differences_times_idx ON segment_differences USING brin (found_at)"
        " WITH (autosummarize = on)"
    ),
)


def upgrade() -> None:
    indexes.replace(create=INDEXES)


def downgrade() -> None:
    for index in reversed(INDEXES):
        op.execute(f"DROP INDEX {index.partition(' ')[0]}")
