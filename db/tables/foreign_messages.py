"""The tables of messages that Tollgate did not hand over, and how far Twilio's lists were read."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from db.tables.columns import TRUE, ZERO, by_time, metadata, one_of, time

foreign_messages = Table(
    "foreign_messages",
    metadata,
    # no foreign key: its check would wait for a locked organization
    Column("organization_id", Text, nullable=False),
    Column("message_sid", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("number", Text, nullable=False),  # the other party's, masked
    Column("segments", Integer),
    Column("status", Text),
    Column("price_micros", BigInteger),
    Column("price_currency", Text),
    Column("listed", Boolean, nullable=False, server_default=TRUE),  # false: only a callback named it
    Column("callbacks", Integer, nullable=False, server_default=ZERO),
    Column("charge_id", BigInteger),  # what was taken for it before Twilio's usage showed it
    time("happened_at", required=True),
    time("found_at", now=True),
    PrimaryKeyConstraint("organization_id", "message_sid"),
    one_of("direction", "inbound", "outbound"),
    CheckConstraint("(price_micros IS NULL) = (price_currency IS NULL)", name="price"),
    Index("foreign_messages_newest_idx", "organization_id", text("happened_at DESC"), "message_sid"),
    Index(
        "foreign_messages_unpriced_idx", "organization_id", "happened_at",
        postgresql_where=text("listed AND price_micros IS NULL"),
    ),
)  # fmt: skip

foreign_charges = Table(
    "foreign_charges",
    metadata,
    Column("organization_id", Text, nullable=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("messages", Integer, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    time("latest_at", required=True),  # when the last of its messages happened
    time("charged_at", now=True),
    time("returned_at"),  # the usage of its messages was charged instead
    PrimaryKeyConstraint("organization_id", "id"),
    CheckConstraint("amount_micros > 0 AND messages > 0", name="amount"),
    Index(
        "foreign_charges_open_idx", "organization_id", "latest_at",
        postgresql_where=text("returned_at IS NULL"),
    ),
    by_time("foreign_charges", "charged_at", "returned_at"),
)  # fmt: skip

message_readings = Table(
    "message_readings",
    metadata,
    Column("organization_id", Text, primary_key=True),
    time("read_until"),  # everything before is known
    time("read_at"),
    time("found_at"),  # the last foreign message
    time("wanted_at"),  # a callback or a trigger asked for a reading
    # of a reading that is not complete: where it continues, what it began with, how far it will get
    Column("page", Text),
    time("page_since"),
    time("page_until"),
    CheckConstraint("(page IS NULL) = (page_since IS NULL)", name="page"),
)
