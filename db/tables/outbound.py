"""The tables of webhook endpoints, their secrets, and what is delivered to each."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db.tables.columns import ZERO, metadata, one_of, time

_NONE = text("'{}'")
_INSTALLATION = text("''")

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    # empty: every type that is not opt-in; every organization, and the installation
    Column("types", ARRAY(Text), nullable=False, server_default=_NONE),
    Column("organization_ids", ARRAY(Text), nullable=False, server_default=_NONE),
    Column("status", Text, nullable=False, server_default=text("'enabled'")),
    Column("disabled_because", Text),
    time("disabled_at"),
    # attempts that failed since the last one that succeeded, and since when
    Column("failures", Integer, nullable=False, server_default=ZERO),
    time("first_failed_at"),
    # how many queues failed at their first attempt since then: with several, the endpoint is
    # unwell, and is attempted once at a time, from retry_at on
    Column("failed_queues", Integer, nullable=False, server_default=ZERO),
    time("retry_at"),
    time("created_at", now=True),
    one_of("status", "enabled", "disabled", "deleted"),
    CheckConstraint("(status = 'disabled') = (disabled_at IS NOT NULL)", name="disabled"),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("endpoint_id", Text, ForeignKey("webhook_endpoints.id"), nullable=False),
    Column("scheme", Text, nullable=False),
    Column("encrypted", LargeBinary, nullable=False),
    Column("public_key", Text),  # of an asymmetric one
    time("created_at", now=True),
    time("expires_at"),  # null: the present one
    one_of("scheme", "v1", "v1a"),
    Index("webhook_secrets_endpoint_idx", "endpoint_id"),
)

webhook_queues = Table(
    "webhook_queues",
    metadata,
    Column("endpoint_id", Text, ForeignKey("webhook_endpoints.id"), primary_key=True),
    # '': the installation; a null would not be equal to itself
    Column("organization_id", Text, primary_key=True, server_default=_INSTALLATION),
    time("due_at"),  # of its oldest pending delivery; null: nothing is pending
    # while a worker delivers from it
    Column("lease", Uuid),
    time("leased_until"),
    Index(
        "webhook_queues_due_idx",
        "endpoint_id",
        "due_at",
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index("webhook_queues_leased_idx", "endpoint_id", postgresql_where=text("lease IS NOT NULL")),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    # given by the one fan-out at a time: the order in which a queue delivers
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("endpoint_id", Text, ForeignKey("webhook_endpoints.id"), nullable=False),
    Column("organization_id", Text, nullable=False, server_default=_INSTALLATION),
    Column("event_id", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    Column("attempts", Integer, nullable=False, server_default=ZERO),
    time("created_at", now=True),
    time("settled_at"),
    one_of("status", "pending", "delivered", "failed", "skipped"),
    CheckConstraint("(status = 'pending') = (settled_at IS NULL)", name="settled"),
    Index(
        "webhook_deliveries_pending_idx",
        "endpoint_id",
        "organization_id",
        "position",
        postgresql_where=text("status = 'pending'"),
    ),
    Index("webhook_deliveries_endpoint_idx", "endpoint_id", "position"),
    Index("webhook_deliveries_event_idx", "event_id"),
    Index("webhook_deliveries_settled_idx", "settled_at"),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("endpoint_id", Text, nullable=False),
    Column("position", BigInteger),  # of the delivery; null: a test
    Column("event_id", Text, nullable=False),
    time("at", required=True),
    Column("status", Integer),  # HTTP's; null: no answer
    Column("latency_ms", Integer, nullable=False),
    Column("answer", Text, nullable=False),  # its beginning
    Column("reason", Text, nullable=False),  # why it failed, or was not read to its end
    Index("webhook_attempts_position_idx", "position"),
    Index("webhook_attempts_at_idx", "at"),
)
