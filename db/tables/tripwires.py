"""The table of usage triggers at Twilio, which report that a subaccount spends."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text, text

from db.tables.columns import metadata, time

tripwires = Table(
    "tripwires",
    metadata,
    # no foreign key: its check would wait for a locked organization
    Column("organization_id", Text, primary_key=True),
    Column("set_micros", BigInteger),  # by an operator; null: computed from the last 28 days
    Column("trigger_sid", Text),
    Column("value_micros", BigInteger),  # that of the trigger at Twilio
    Column("current_micros", BigInteger),  # what Twilio reported when it fired
    time("compared_at"),  # with Twilio
    time("fired_at"),
    time("looked_at"),
    CheckConstraint("set_micros > 0", name="set"),
    CheckConstraint("value_micros > 0", name="value"),
    Index(
        "tripwires_pending_idx",
        "fired_at",
        postgresql_where=text(
            "fired_at IS NOT NULL AND (looked_at IS NULL OR looked_at < fired_at)"
        ),
    ),
)
