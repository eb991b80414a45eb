"""foreign messages

Messages that Tollgate did not hand over, and how far Twilio's lists were read.

Revision ID: 0040
Revises: 0039
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "foreign_charges",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("latest_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "charged_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "amount_micros > 0 AND messages > 0", name=op.f("foreign_charges_amount_check")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("foreign_charges_pkey")),
    )
    op.create_index(
        "foreign_charges_open_idx",
        "foreign_charges",
        ["organization_id", "latest_at"],
        unique=False,
        postgresql_where=sa.text("returned_at IS NULL"),
    )
    op.create_table(
        "foreign_messages",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("message_sid", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("segments", sa.Integer(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("price_micros", sa.BigInteger(), nullable=True),
        sa.Column("price_currency", sa.Text(), nullable=True),
        sa.Column("listed", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("callbacks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("charge_id", sa.BigInteger(), nullable=True),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "found_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "direction IN ('inbound', 'outbound')", name=op.f("foreign_messages_direction_check")
        ),
        sa.CheckConstraint(
            "(price_micros IS NULL) = (price_currency IS NULL)",
            name=op.f("foreign_messages_price_check"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "message_sid", name=op.f("foreign_messages_pkey")
        ),
    )
    op.create_index(
        "foreign_messages_newest_idx",
        "foreign_messages",
        ["organization_id", sa.literal_column("happened_at DESC"), "message_sid"],
        unique=False,
    )
    op.create_index(
        "foreign_messages_unpriced_idx",
        "foreign_messages",
        ["organization_id", "happened_at"],
        unique=False,
        postgresql_where=sa.text("listed AND price_micros IS NULL"),
    )
    op.create_table(
        "message_readings",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("read_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wanted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("message_readings_pkey")),
    )


def downgrade() -> None:
    op.drop_table("message_readings")
    op.drop_index(
        "foreign_messages_unpriced_idx",
        table_name="foreign_messages",
        postgresql_where=sa.text("listed AND price_micros IS NULL"),
    )
    op.drop_index("foreign_messages_newest_idx", table_name="foreign_messages")
    op.drop_table("foreign_messages")
    op.drop_index(
        "foreign_charges_open_idx",
        table_name="foreign_charges",
        postgresql_where=sa.text("returned_at IS NULL"),
    )
    op.drop_table("foreign_charges")
