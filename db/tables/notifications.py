"""The tables of who is told of alerts, and of what they are to be told."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db.tables.columns import FALSE, ZERO, metadata, time

notification_routes = Table(
    "notification_routes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scheme", Text, nullable=False),
    Column("url_encrypted", LargeBinary, nullable=False),
    Column("severities", ARRAY(Text), nullable=False),  # empty: all
    Column("kinds", ARRAY(Text), nullable=False),  # empty: all
    time("created_at", now=True),
    time("last_sent_at"),
    time("claimed_until"),
    Column("failures", Integer, nullable=False, server_default=ZERO),  # in a row
    Column("problem", Text),
    time("retry_at"),
    Index("notification_routes_created_idx", "created_at", "id"),
)

notifications = Table(
    "notifications",
    metadata,
    Column(
        "route_id",
        Text,
        ForeignKey("notification_routes.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("alert_id", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default=text("1")),
    time("due_at"),  # null: nothing is to be told
    Column("reminds", Boolean, nullable=False, server_default=FALSE),  # of nothing new
    time("sent_at"),  # last
    PrimaryKeyConstraint("route_id", "alert_id"),
    Index(
        "notifications_due_idx",
        "route_id",
        "due_at",
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index("notifications_alert_idx", "alert_id"),
)
"""What a route was told of an alert, and when it is told next: the words follow from the alert's
state at that time.
"""
