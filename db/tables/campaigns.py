"""The tables of campaigns, their messages, and the limits of their sending."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    text,
)

from db.tables.columns import FALSE, TRUE, ZERO, by_time, metadata, one_of, time

rates = Table(
    "rates",
    metadata,
    # '*' stands for everybody, so it is no foreign key
    Column("organization_id", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("price_per_segment_micros", BigInteger, nullable=False),
    Column("network", Text),  # MCC and MNC, where the rate's cost is that of one network
    Column("below_cost", Boolean, nullable=False, server_default=FALSE),
    time("changed_at", now=True),
    PrimaryKeyConstraint("organization_id", "country", "currency"),
    CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("price_per_segment_micros > 0", name="price"),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("id", Uuid, nullable=False, server_default=text("uuidv7()")),
    Column("name", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="draft"),
    Column("reason", Text, nullable=False, server_default=""),
    Column("total", Integer, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    time("created_at", now=True),
    time("started_at"),
    time("completed_at"),
    time("heard_at"),
    time("rung_at"),
    time("scheduled_at"),
    Column("detail", Text, nullable=False, server_default=""),
    Column("waits_for", Text, nullable=False, server_default=""),
    time("waits_until"),
    time("since"),
    Column("quiet_from", Time),
    Column("quiet_until", Time),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "idempotency_key"),
    one_of("status", "draft", "running", "parked", "paused", "completed", "scheduled", "canceled"),
    CheckConstraint("(status IN ('parked', 'paused')) = (reason <> '')", name="reason"),
    CheckConstraint("(quiet_from IS NULL) = (quiet_until IS NULL)", name="quiet"),
    CheckConstraint("status <> 'scheduled' OR scheduled_at IS NOT NULL", name="scheduled"),
    Index(
        "campaigns_open_idx", "status", "reason", "waits_for",
        postgresql_where=text("status IN ('running', 'parked', 'paused', 'scheduled')"),
    ),
    Index("campaigns_parked_idx", "organization_id", postgresql_where=text("status = 'parked'")),
    Index("campaigns_live_idx", "heard_at", postgresql_where=text("status = 'running'")),
    Index("campaigns_due_idx", "scheduled_at", postgresql_where=text("status = 'scheduled'")),
    by_time("campaigns", "created_at"),
)  # fmt: skip

campaign_changes = Table(
    "campaign_changes",
    metadata,
    Column("organization_id", Text, nullable=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("campaign_id", Uuid, nullable=False),
    Column("from_status", Text, nullable=False),
    Column("to_status", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("position", Integer),
    time("at", now=True),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"]
    ),
    one_of("by", "person", "tollgate"),
    Index("campaign_changes_campaign_idx", "organization_id", "campaign_id", "id"),
    by_time("campaign_changes", "at"),
)

messages = Table(
    "messages",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("id", Uuid, nullable=False, server_default=text("uuidv7()")),
    Column("campaign_id", Uuid),
    Column("position", Integer),
    Column("recipient", Text, nullable=False),
    Column("country", Text),
    Column("body", Text),
    Column("segments", Integer, nullable=False),
    Column("price_micros", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=ZERO),
    Column("sender", Text),  # the sender of its last attempt
    Column("delivery_status", Text),
    Column("provider_sid", Text),
    Column("sid_confirmed", Boolean, nullable=False, server_default=TRUE),  # by Twilio, not only by a callback
    Column("error_code", Integer),
    Column("problem", Text),
    Column("provider_price_micros", BigInteger),
    Column("provider_price_currency", Text),
    Column("billed_on", Date),  # the day (UTC) on which Twilio charged that price
    Column("idempotency_key", Text),
    time("created_at", now=True),
    time("sending_at"),
    time("settled_at"),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"]),
    UniqueConstraint("organization_id", "campaign_id", "position"),
    UniqueConstraint("organization_id", "idempotency_key"),
    UniqueConstraint("organization_id", "provider_sid"),
    one_of("status", "pending", "reserved", "sending", "accepted", "refused", "unknown", "lost", "skipped"),
    CheckConstraint("price_micros > 0 AND segments > 0", name="price"),
    CheckConstraint("(campaign_id IS NULL) = (position IS NULL)", name="position"),
    CheckConstraint("(campaign_id IS NULL) = (body IS NOT NULL)", name="body"),
    CheckConstraint("(campaign_id IS NULL) = (idempotency_key IS NOT NULL)", name="key"),
    Index("messages_status_idx", "organization_id", "campaign_id", "status", "position"),
    Index("messages_newest_idx", "organization_id", "status", "created_at", "id"),
    Index(
        "messages_unsettled_idx", "organization_id", "sending_at",
        postgresql_where=text("status IN ('sending', 'unknown')"),
    ),
    Index(
        "messages_sending_idx", "organization_id", "sending_at", postgresql_where=text("sending_at IS NOT NULL"),
    ),
    Index("messages_sid_idx", "provider_sid", postgresql_where=text("provider_sid IS NOT NULL")),
    Index("messages_to_idx", "recipient", "created_at"),
    Index("messages_recipient_idx", "organization_id", "recipient", "campaign_id", unique=True),
    Index(
        "messages_unpriced_idx", "organization_id", "sending_at",
        postgresql_where=text("provider_sid IS NOT NULL AND provider_price_micros IS NULL"),
    ),
    by_time("messages", "sending_at", "settled_at"),
    postgresql_with={"fillfactor": 70},
)  # fmt: skip

attempts = Table(
    "attempts",
    metadata,
    Column("organization_id", Text, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("provider_sid", Text),
    Column("error_code", Integer),
    Column("problem", Text),
    time("sending_at"),
    time("ended_at", now=True),
    PrimaryKeyConstraint("organization_id", "message_id", "attempt"),
    ForeignKeyConstraint(["organization_id", "message_id"], ["messages.organization_id", "messages.id"]),
    Index(
        "attempts_sid_idx", "organization_id", "provider_sid", postgresql_where=text("provider_sid IS NOT NULL"),
    ),
    Index("attempts_any_sid_idx", "provider_sid", postgresql_where=text("provider_sid IS NOT NULL")),
    Index(
        "attempts_sending_idx", "organization_id", "sending_at", postgresql_where=text("sending_at IS NOT NULL"),
    ),
    by_time("attempts", "ended_at"),
)  # fmt: skip

status_checks = Table(
    "status_checks",
    metadata,
    # no foreign key: its check would wait for a locked message
    Column("organization_id", Text, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("message_sid", Text, nullable=False),
    Column("told", Text),  # the status in a callback; null if there was none
    Column("tries", Integer, nullable=False, server_default=ZERO),
    time("since", now=True),
    time("next_at", now=True),
    PrimaryKeyConstraint("organization_id", "message_id", "message_sid"),
    Index("status_checks_due_idx", "organization_id", "next_at"),
    Index("status_checks_next_idx", "next_at", "organization_id"),
)

unpaid_sends = Table(
    "unpaid_sends",
    metadata,
    Column("organization_id", Text, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("message_sid", Text, nullable=False),
    Column("delivery_status", Text, nullable=False),
    time("found_at", now=True),
    time("charged_at"),
    PrimaryKeyConstraint("organization_id", "message_id", "attempt"),
    ForeignKeyConstraint(
        ["organization_id", "message_id"], ["messages.organization_id", "messages.id"]
    ),
    Index(
        "unpaid_sends_open_idx",
        "organization_id",
        "found_at",
        postgresql_where=text("charged_at IS NULL"),
    ),
    by_time("unpaid_sends", "found_at", "charged_at"),
)

opt_outs = Table(
    "opt_outs",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("recipient", Text, nullable=False),
    time("since", now=True),
    PrimaryKeyConstraint("organization_id", "recipient"),
)

pace = Table(
    "pace",
    metadata,
    Column("organization_id", Text, primary_key=True),  # '' stands for the whole account at Twilio
    time("next_at", required=True),
)

listed_days = Table(
    "listed_days",
    metadata,
    # no foreign key: its check would wait for a locked organization
    Column("organization_id", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("page", Text),  # where an unfinished reading of Twilio's list continues
    time("listed_at"),
    PrimaryKeyConstraint("organization_id", "day"),
    Index("listed_days_day_idx", "day"),
)
