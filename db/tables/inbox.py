"""The tables of webhook deliveries and of the comparisons with listed events."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.tables.columns import ZERO, by_time, metadata, one_of, time
from domain.billing.subscription import Provider

listings = Table(
    "listings",
    metadata,
    Column("provider", Text, primary_key=True),
    time("listed_until", required=True),
    Column("missed", BigInteger, nullable=False, server_default=ZERO),
    Column("duplicates", BigInteger, nullable=False, server_default=ZERO),
    Column("out_of_order", BigInteger, nullable=False, server_default=ZERO),
    one_of("provider", *Provider),
)

repeated_deliveries = Table(
    "repeated_deliveries",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("number", BigInteger, nullable=False, server_default=text("1")),
    one_of("provider", *Provider),
)
"""Those that no comparison has counted yet."""

inbox = Table(
    "inbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("transmission_id", Text),
    Column("event_type", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("headers", JSONB, nullable=False),
    time("received_at", now=True),
    time("occurred_at"),
    Column("organization_id", ForeignKey("organizations.id")),
    Column("provider_subscription_id", Text),
    Column("money_kind", Text),
    Column("money_id", Text),
    Column("custom_id", Text),
    Column("payment_id", Text),
    Column("amount_micros", BigInteger),
    Column("currency", Text),
    Column("payer", Text, nullable=False, server_default=""),
    Column("status", Text, nullable=False),
    Column("outcome", Text, nullable=False, server_default=""),
    Column("deliveries", Integer, nullable=False, server_default=text("1")),
    Column("attempts", Integer, nullable=False, server_default=ZERO),
    Column(
        "next_attempt_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("(clock_timestamp() + '00:01:00'::interval)"),
    ),
    time("folded_at"),
    time("handled_at"),
    one_of("provider", *Provider),
    one_of("status", "unhandled", "parked", "handled"),
    CheckConstraint("(status = 'handled') = (handled_at IS NOT NULL)", name="handled"),
    Index("inbox_body_idx", "provider", "event_id", text("sha256(body)"), unique=True),
    Index("inbox_transmission_idx", "provider", "transmission_id"),
    Index("inbox_waiting_idx", "next_attempt_at", postgresql_where=text("status <> 'handled'")),
    Index("inbox_unhandled_idx", "next_attempt_at", postgresql_where=text("status = 'unhandled'")),
    Index(
        "inbox_unknown_idx", "next_attempt_at", postgresql_where=text("status = 'parked' AND outcome ~~ 'unknown %'"),
    ),
    Index("inbox_parked_idx", "id", postgresql_where=text("status = 'parked'")),
    Index("inbox_unhandled_ids_idx", "id", postgresql_where=text("status = 'unhandled'")),
    Index("inbox_subscription_idx", "provider", "provider_subscription_id"),
    Index("inbox_organization_idx", "organization_id", "id"),
    Index("inbox_arrivals_idx", "provider", "received_at"),
    Index(
        "inbox_disputes_idx", "handled_at",
        postgresql_where=text("money_kind = 'dispute' AND status = 'handled'"),
    ),
    by_time("inbox", "received_at", "handled_at"),
)  # fmt: skip
