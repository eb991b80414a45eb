"""The tables of what Twilio charges: usage by day and category, policies, charges."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from db.tables.columns import FALSE, ZERO, by_time, metadata, one_of, time

carrier_readings = Table(
    "carrier_readings",
    metadata,
    # no foreign key: its check would wait for a locked organization
    Column("organization_id", Text, primary_key=True),
    Column("charged_from", Date),  # null: from the first day on
    time("due_at", now=True),
    time("read_at"),  # of the last complete reading
    time("changed_at"),  # when a reading last found more or other usage
    time("as_of"),  # up to when Twilio's figures are complete
    time("compared_at"),  # when the sums of all days were last compared, by category
    Column("failures", Integer, nullable=False, server_default=ZERO),
    Index("carrier_readings_due_idx", "due_at"),
)

carrier_usage = Table(
    "carrier_usage",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("day", Date, nullable=False),  # UTC, as Twilio's are
    Column("category", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("count", Numeric),
    Column("usage", Numeric),
    Column("usage_unit", Text, nullable=False, server_default=""),
    Column("price_micros", BigInteger),  # null: Twilio has no price yet
    Column("currency", Text, nullable=False),
    time("as_of"),
    time("read_at", now=True),
    PrimaryKeyConstraint("organization_id", "day", "category", "revision"),
    CheckConstraint("revision > 0", name="revision"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("length(category) BETWEEN 1 AND 150", name="category"),
    Index(
        "carrier_usage_total_idx", "day", "organization_id",
        postgresql_where=text("category = 'totalprice'"),
    ),
    by_time("carrier_usage", "read_at"),
)  # fmt: skip

carrier_policies = Table(
    "carrier_policies",
    metadata,
    # '*' stands for everybody, so it is no foreign key
    Column("organization_id", Text, nullable=False),
    Column("prefix", Text, nullable=False),  # '' stands for every category
    Column("action", Text, nullable=False),
    Column("factor", Numeric(9, 6), nullable=False, server_default=text("1")),
    Column("unit_price_micros", BigInteger),
    time("changed_at", now=True),
    PrimaryKeyConstraint("organization_id", "prefix"),
    one_of("action", "charge", "absorb", "forbid"),
    CheckConstraint("factor > 0", name="factor"),
    CheckConstraint("unit_price_micros >= 0", name="unit_price"),
    CheckConstraint("unit_price_micros IS NULL OR factor = 1", name="one_price"),
    CheckConstraint(
        "action <> 'absorb' OR factor = 1 AND unit_price_micros IS NULL", name="absorb"
    ),
)

carrier_exchange_rates = Table(
    "carrier_exchange_rates",
    metadata,
    Column("from_currency", Text, nullable=False),
    Column("to_currency", Text, nullable=False),
    Column("rate", Numeric(18, 9), nullable=False),
    time("changed_at", now=True),
    PrimaryKeyConstraint("from_currency", "to_currency"),
    CheckConstraint("from_currency ~ '^[A-Z]{3}$' AND to_currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("from_currency <> to_currency", name="currencies"),
    CheckConstraint("rate > 0", name="rate"),
)

# A row for each change of what a category of a day costs. The newest one counts; `moved_micros` is
# what it took from the wallet (or left owed), below 0 what it gave back.
carrier_charges = Table(
    "carrier_charges",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("day", Date, nullable=False),
    Column("category", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    # in Twilio's currency: cost = explained + absorbed + what is to be paid
    Column("currency", Text, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("explained_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("absorbed_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("action", Text, nullable=False),
    Column("factor", Numeric(9, 6), nullable=False, server_default=text("1")),
    Column("unit_price_micros", BigInteger),
    # in the wallet's currency
    Column("due_micros", BigInteger, nullable=False),
    Column("moved_micros", BigInteger, nullable=False),
    Column("reference_id", Text),
    Column("problem", Text),  # why nothing was charged although it should be
    time("charged_at", now=True),
    PrimaryKeyConstraint("organization_id", "day", "category", "revision"),
    UniqueConstraint("organization_id", "reference_id"),
    one_of("action", "charge", "absorb", "forbid"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("revision > 0", name="revision"),
    CheckConstraint("due_micros >= 0", name="due"),
    CheckConstraint("explained_micros >= 0", name="explained"),
    CheckConstraint("(moved_micros = 0) = (reference_id IS NULL)", name="reference"),
    Index(
        "carrier_charges_problem_idx", "organization_id", "day",
        postgresql_where=text("problem IS NOT NULL"),
    ),
    Index("carrier_charges_day_idx", "day", "organization_id"),
    by_time("carrier_charges", "charged_at"),
)  # fmt: skip

network_prices = Table(
    "network_prices",
    metadata,
    # the parent account that pays them; '' was read for the main one, before they were told apart
    Column("account_sid", Text, nullable=False, server_default=""),
    Column("country", Text, nullable=False),
    Column("network", Text, nullable=False),  # MCC and MNC
    Column("currency", Text, nullable=False),
    Column("carrier", Text, nullable=False),
    Column("price_micros", BigInteger, nullable=False),
    time("read_at", now=True),
    PrimaryKeyConstraint("country", "network", "currency", "account_sid"),
    CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("price_micros >= 0", name="price"),
)

segment_differences = Table(
    "segment_differences",
    metadata,
    # no foreign key: its check would wait for a locked message
    Column("organization_id", Text, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("ours", Integer, nullable=False),
    Column("theirs", Integer, nullable=False),
    Column("micros", BigInteger, nullable=False),  # charged; below 0 returned
    Column("batch", Uuid, nullable=False),  # in the references of its ledger entries
    time("found_at", now=True),
    PrimaryKeyConstraint("organization_id", "message_id", "attempt"),
    CheckConstraint("ours > 0 AND theirs > 0 AND ours <> theirs", name="differ"),
    CheckConstraint("micros = 0 OR (micros > 0) = (theirs > ours)", name="micros"),
    by_time("segment_differences", "found_at"),
)

segment_counts = Table(
    "segment_counts",
    metadata,
    Column("direction", Text, primary_key=True),
    Column("messages", BigInteger, nullable=False),
    one_of("direction", "more", "fewer"),
)

parent_funds = Table(
    "parent_funds",
    metadata,
    Column("account_sid", Text, primary_key=True),
    Column("balance_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("spent_micros", BigInteger, nullable=False),
    Column("over_seconds", Integer, nullable=False),
    time("read_at", now=True),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
)

recurring_costs = Table(
    "recurring_costs",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference_id", Text, nullable=False),  # a sid, or a usage category
    Column("name", Text, nullable=False),
    Column("monthly_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("answers", Boolean, nullable=False, server_default=FALSE),  # the number has webhooks
    PrimaryKeyConstraint("organization_id", "kind", "reference_id"),
    one_of("kind", "number", "short_code", "us_campaign", "usage"),
    CheckConstraint("monthly_micros >= 0", name="monthly"),
)

recurring_readings = Table(
    "recurring_readings",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), primary_key=True),
    time("read_at"),
    time("due_at", required=True),
    Column("daily_micros", BigInteger),  # in the wallet's currency; null: no rate for it
    Column("problem", Text),
    Index("recurring_readings_due_idx", "due_at"),
)

releases = Table(
    "releases",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("step", Text, nullable=False),
    Column(
        "number_sid", Text, nullable=False
    ),  # or a short code's, or the category of what is stored
    Column("name", Text, nullable=False),
    Column("saves_daily_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("before", Text, nullable=False, server_default=""),  # the webhooks that were removed
    time("confirmed_at", required=True),
    time("done_at"),
    PrimaryKeyConstraint("organization_id", "number_sid", "step"),
    one_of("step", "remove_webhooks", "delete_recordings", "release_number", "return_short_code"),
)
