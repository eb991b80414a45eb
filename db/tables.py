"""The tables; CHECKs and unique constraints restate the guarantees, so that no code path can break them quietly."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from domain.billing.subscription import Provider

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

NOW = text("clock_timestamp()")
FALSE = text("false")
TRUE = text("true")
ZERO = text("0")


def _time(name: str, *, required: bool = False, now: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not (required or now), server_default=NOW if now else None)


def _one_of(column: str, *values: str) -> CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


organizations = Table(
    "organizations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("twilio_account_sid", Text, nullable=False, unique=True),
    Column("sender", Text, nullable=False),
    Column("price_per_segment_micros", BigInteger),
    Column("messages_per_second", Integer),
    Column("grace_seconds", Integer, nullable=False),
    _time("created_at", now=True),
    CheckConstraint("id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'", name="id"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("price_per_segment_micros > 0", name="price"),
    CheckConstraint("messages_per_second > 0", name="pace"),
    CheckConstraint("grace_seconds >= 0", name="grace"),
)

rates = Table(
    "rates",
    metadata,
    Column("organization_id", Text, nullable=False),  # '*' stands for everybody, so it is no foreign key
    Column("country", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("price_per_segment_micros", BigInteger, nullable=False),
    _time("changed_at", now=True),
    PrimaryKeyConstraint("organization_id", "country", "currency"),
    CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("price_per_segment_micros > 0", name="price"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_subscription_id", Text, nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("raw_status", Text, nullable=False, server_default=""),
    _time("as_of"),
    _time("confirmed_at"),
    _time("access_until"),
    _time("paid_until"),
    _time("paid_from"),
    _time("paid_at"),
    _time("past_due_since"),
    Column("shut_for_debt", Boolean, nullable=False, server_default=FALSE),
    Column("word_state", Text),
    _time("word_as_of"),
    _time("word_until"),
    _time("word_since"),
    _time("doubted_at"),
    Column("outstanding_micros", BigInteger),
    Column("outstanding_currency", Text),
    Column("failed_payments", Integer, nullable=False, server_default=ZERO),
    Column("alert", Text),
    Column("checkout_url", Text),
    Column("checkout_key", Text),
    Column("checkout_plan_id", Text),
    _time("linked_at", now=True),
    PrimaryKeyConstraint("organization_id", "provider", "provider_subscription_id"),
    UniqueConstraint("provider", "provider_subscription_id"),
    _one_of("provider", *Provider),
    _one_of(
        "state", "none", "pending", "trialing", "active", "past_due", "suspended_nonpayment", "paused", "canceled",
        "expired",
    ),
    _one_of("word_state", "past_due", "suspended_nonpayment", "paused", "canceled", "expired"),
    Index("subscriptions_one_current_idx", "organization_id", unique=True, postgresql_where=text("is_current")),
    Index(
        "subscriptions_checkout_key_idx", "organization_id", "checkout_key", unique=True,
        postgresql_where=text("checkout_key IS NOT NULL"),
    ),
)  # fmt: skip

migrations = Table(
    "migrations",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("id", Uuid, nullable=False, server_default=text("uuidv7()")),
    Column("source_provider", Text, nullable=False),
    Column("source_subscription_id", Text, nullable=False),
    Column("target_provider", Text, nullable=False),
    Column("target_plan_id", Text, nullable=False),
    Column("target_subscription_id", Text),
    Column("return_url", Text, nullable=False),
    Column("cancel_url", Text, nullable=False),
    Column("checkout_url", Text),
    Column("state", Text, nullable=False),
    Column("outcome", Text),
    Column("reason", Text, nullable=False, server_default=""),
    _time("first_charge_at"),
    _time("expires_at"),
    _time("started_at", now=True),
    _time("changed_at", now=True),
    _time("ended_at"),
    PrimaryKeyConstraint("organization_id", "id"),
    _one_of("source_provider", *Provider),
    _one_of("target_provider", *Provider),
    _one_of(
        "state", "started", "waiting", "checked", "offered", "consented", "stopping", "stopped", "undoing", "completed",
        "refused", "abandoned", "canceled", "undone", "failed",
    ),
    CheckConstraint("source_provider <> target_provider", name="elsewhere"),
    CheckConstraint(
        "(state IN ('completed', 'refused', 'abandoned', 'canceled', 'undone', 'failed')) = (ended_at IS NOT NULL)",
        name="ended",
    ),
    Index("migrations_one_open_idx", "organization_id", unique=True, postgresql_where=text("ended_at IS NULL")),
)  # fmt: skip

migration_cohorts = Table(
    "migration_cohorts",
    metadata,
    Column("target_provider", Text, primary_key=True),
    Column("paused", Text),
    _time("counted_since", now=True),
    _one_of("target_provider", *Provider),
)

listings = Table(
    "listings",
    metadata,
    Column("provider", Text, primary_key=True),
    _time("listed_until", required=True),
    Column("missed", BigInteger, nullable=False, server_default=ZERO),
    Column("duplicates", BigInteger, nullable=False, server_default=ZERO),
    Column("out_of_order", BigInteger, nullable=False, server_default=ZERO),
    _one_of("provider", *Provider),
)

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
    _time("received_at", now=True),
    _time("occurred_at"),
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
    _time("folded_at"),
    _time("handled_at"),
    _one_of("provider", *Provider),
    _one_of("status", "unhandled", "parked", "handled"),
    CheckConstraint("(status = 'handled') = (handled_at IS NOT NULL)", name="handled"),
    Index("inbox_body_idx", "provider", "event_id", text("sha256(body)"), unique=True),
    Index("inbox_transmission_idx", "provider", "transmission_id"),
    Index("inbox_waiting_idx", "next_attempt_at", postgresql_where=text("status <> 'handled'")),
    Index("inbox_organization_idx", "organization_id", "id"),
    Index("inbox_received_idx", "received_at", postgresql_using="brin"),
    Index(
        "inbox_repeated_idx", "provider", postgresql_include=["deliveries"], postgresql_where=text("deliveries > 1")
    ),
)  # fmt: skip

blocks = Table(
    "blocks",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    _time("placed_at", now=True),
    PrimaryKeyConstraint("organization_id", "kind", "reference"),
    _one_of("kind", "dispute", "admin", "telephony"),
)

standings = Table(
    "standings",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), primary_key=True),
    Column("status", Text, nullable=False),
    Column("blocks", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("epoch", BigInteger, nullable=False, server_default=ZERO),
    Column("applied_epoch", BigInteger, nullable=False, server_default=ZERO),
    _time("deadline"),
    Column("cause", Text, nullable=False, server_default=""),
    _time("decided_at", now=True),
    _time("applied_at"),
    _time("rung_at"),
    Column("stuck_step", Text),
    Column("stuck_reason", Text),
    _time("suspension_sent_at"),
    _one_of("status", "active", "suspended"),
    CheckConstraint("applied_epoch <= epoch", name="applied"),
    CheckConstraint("(status = 'suspended') = (cardinality(blocks) > 0)", name="blocked"),
    Index("standings_behind_idx", "decided_at", postgresql_where=text("applied_epoch < epoch")),
    Index("standings_due_idx", "deadline", postgresql_where=text("deadline IS NOT NULL")),
)

wallets = Table(
    "wallets",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), primary_key=True),
    Column("currency", Text, nullable=False),
    Column("balance_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("entries", BigInteger, nullable=False, server_default=ZERO),
    Column("gate_open", Boolean, nullable=False, server_default=TRUE),
    Column("frozen_by_suspension", Boolean, nullable=False, server_default=FALSE),
    Column("frozen_by_operator", Boolean, nullable=False, server_default=FALSE),
    Column("freeze_reason", Text),
    Column("held_micros", BigInteger, nullable=False, server_default=ZERO),
    _time("created_at", now=True),
    CheckConstraint("balance_micros >= 0", name="balance"),
    CheckConstraint("held_micros >= 0", name="held"),
    CheckConstraint("balance_micros - held_micros >= 0", name="held_covered"),
    CheckConstraint("balance_micros <= 4611686018427387904", name="balance_limit"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("balance_after_micros", BigInteger, nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("refunds", Text),
    Column("description", Text, nullable=False, server_default=""),
    _time("created_at", now=True),
    PrimaryKeyConstraint("organization_id", "seq"),
    UniqueConstraint("organization_id", "reference_id"),
    ForeignKeyConstraint(
        ["organization_id", "refunds"], ["ledger_entries.organization_id", "ledger_entries.reference_id"]
    ),
    _one_of("kind", "credit", "debit", "refund", "reversal", "recovery"),
    CheckConstraint("(kind IN ('debit', 'reversal', 'recovery')) = (amount_micros < 0)", name="sign"),
    CheckConstraint("amount_micros <> 0", name="amount"),
    CheckConstraint("balance_after_micros >= 0", name="balance_after"),
    CheckConstraint("(kind = 'refund') = (refunds IS NOT NULL)", name="refunds"),
    CheckConstraint("length(reference_id) BETWEEN 1 AND 255", name="reference"),
    Index(
        "ledger_entries_refunds_once_idx", "organization_id", "refunds", unique=True,
        postgresql_where=text("refunds IS NOT NULL"),
    ),
)  # fmt: skip

holds = Table(
    "holds",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("captured_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("status", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    _time("expires_at", required=True),
    _time("created_at", now=True),
    _time("closed_at"),
    PrimaryKeyConstraint("organization_id", "reference_id"),
    _one_of("status", "open", "captured", "released", "expired"),
    CheckConstraint("amount_micros > 0", name="amount"),
    CheckConstraint("captured_micros BETWEEN 0 AND amount_micros", name="captured_amount"),
    CheckConstraint("(status = 'captured') = (captured_micros > 0)", name="captured"),
    CheckConstraint("(status = 'open') = (closed_at IS NULL)", name="closed"),
    CheckConstraint("length(reference_id) BETWEEN 1 AND 255", name="reference"),
    Index("holds_due_idx", "expires_at", postgresql_where=text("status = 'open'")),
)

ledger_seals = Table(
    "ledger_seals",
    metadata,
    Column("organization_id", Text, nullable=False),  # no foreign key: its check would wait for a locked wallet
    Column("seq", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    _time("sealed_at", now=True),
    PrimaryKeyConstraint("organization_id", "seq"),
    CheckConstraint("length(sha256) = 32", name="sha256"),
)

ledger_heads = Table(
    "ledger_heads",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", Text, nullable=False),  # as of seals
    Column("seq", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    _time("made_at", now=True),
    UniqueConstraint("organization_id", "seq"),
    CheckConstraint("length(sha256) = 32", name="sha256"),
)

money_changes = Table(
    "money_changes",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), nullable=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("change", Text, nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("by", Text, nullable=False, server_default=""),
    Column("after_seq", BigInteger, nullable=False),
    _time("at", now=True),
    PrimaryKeyConstraint("organization_id", "id"),
    _one_of("change", "hold_opened", "hold_captured", "hold_released", "hold_expired", "debt_waived"),
    CheckConstraint("amount_micros > 0", name="amount"),
)

gate_changes = Table(
    "gate_changes",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), nullable=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("change", Text, nullable=False),
    Column("after_seq", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("cause", Text, nullable=False, server_default=""),
    _time("at", now=True),
    PrimaryKeyConstraint("organization_id", "id"),
    _one_of(
        "change",
        "shut",
        "opened",
        "frozen_by_suspension",
        "unfrozen_by_suspension",
        "frozen_by_operator",
        "unfrozen_by_operator",
    ),
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
    _time("created_at", now=True),
    _time("started_at"),
    _time("completed_at"),
    _time("heard_at"),
    _time("rung_at"),
    _time("scheduled_at"),
    Column("detail", Text, nullable=False, server_default=""),
    Column("waits_for", Text, nullable=False, server_default=""),
    _time("waits_until"),
    _time("since"),
    Column("quiet_from", Time),
    Column("quiet_until", Time),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "idempotency_key"),
    _one_of("status", "draft", "running", "parked", "paused", "completed", "scheduled", "canceled"),
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
    _time("at", now=True),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"]),
    _one_of("by", "person", "tollgate"),
    Index("campaign_changes_campaign_idx", "organization_id", "campaign_id", "id"),
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
    Column("sender", Text),  # what its last attempt was handed over with
    Column("delivery_status", Text),
    Column("provider_sid", Text),
    Column("sid_confirmed", Boolean, nullable=False, server_default=TRUE),  # by Twilio, not only by a callback
    Column("error_code", Integer),
    Column("problem", Text),
    Column("provider_price_micros", BigInteger),
    Column("provider_price_currency", Text),
    Column("idempotency_key", Text),
    _time("created_at", now=True),
    _time("sending_at"),
    _time("settled_at"),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"]),
    UniqueConstraint("organization_id", "campaign_id", "position"),
    UniqueConstraint("organization_id", "idempotency_key"),
    UniqueConstraint("organization_id", "provider_sid"),
    _one_of("status", "pending", "reserved", "sending", "accepted", "refused", "unknown", "lost", "skipped"),
    CheckConstraint("price_micros > 0 AND segments > 0", name="price"),
    CheckConstraint("(campaign_id IS NULL) = (position IS NULL)", name="position"),
    CheckConstraint("(campaign_id IS NULL) = (body IS NOT NULL)", name="body"),
    CheckConstraint("(campaign_id IS NULL) = (idempotency_key IS NOT NULL)", name="key"),
    Index(
        "messages_to_send_idx", "organization_id", "campaign_id", "status", "position",
        postgresql_where=text("status IN ('pending', 'reserved', 'sending', 'unknown')"),
    ),
    Index(
        "messages_unsettled_idx", "organization_id", "sending_at",
        postgresql_where=text("status IN ('sending', 'unknown')"),
    ),
    Index(
        "messages_recipient_once_idx", "organization_id", "recipient", "campaign_id", unique=True,
        postgresql_where=text("campaign_id IS NOT NULL"),
    ),
    Index(
        "messages_unpriced_idx", "organization_id", "sending_at",
        postgresql_where=text("provider_sid IS NOT NULL AND provider_price_micros IS NULL"),
    ),
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
    _time("sending_at"),
    _time("ended_at", now=True),
    PrimaryKeyConstraint("organization_id", "message_id", "attempt"),
    ForeignKeyConstraint(["organization_id", "message_id"], ["messages.organization_id", "messages.id"]),
    Index(
        "attempts_sid_idx", "organization_id", "provider_sid", postgresql_where=text("provider_sid IS NOT NULL"),
    ),
)  # fmt: skip

status_checks = Table(
    "status_checks",
    metadata,
    Column("organization_id", Text, nullable=False),  # no foreign key: its check would wait for a locked message
    Column("message_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("message_sid", Text, nullable=False),
    Column("told", Text),  # what a callback said; nothing where none came
    Column("tries", Integer, nullable=False, server_default=ZERO),
    _time("since", now=True),
    _time("next_at", now=True),
    PrimaryKeyConstraint("organization_id", "message_id", "message_sid"),
    Index("status_checks_due_idx", "organization_id", "next_at"),
)

unpaid_sends = Table(
    "unpaid_sends",
    metadata,
    Column("organization_id", Text, nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("message_sid", Text, nullable=False),
    Column("delivery_status", Text, nullable=False),
    _time("found_at", now=True),
    _time("charged_at"),
    PrimaryKeyConstraint("organization_id", "message_id", "attempt"),
    ForeignKeyConstraint(["organization_id", "message_id"], ["messages.organization_id", "messages.id"]),
    Index("unpaid_sends_open_idx", "organization_id", "found_at", postgresql_where=text("charged_at IS NULL")),
)

opt_outs = Table(
    "opt_outs",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("recipient", Text, nullable=False),
    _time("since", now=True),
    PrimaryKeyConstraint("organization_id", "recipient"),
)

pace = Table(
    "pace",
    metadata,
    Column("organization_id", Text, primary_key=True),  # '' stands for the whole account at Twilio
    _time("next_at", required=True),
)

receipts = Table(
    "receipts",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("cause", Text, nullable=False),
    _time("decided_at", required=True),
    Column("steps", JSONB, nullable=False, server_default=text("'[]'")),
    _time("finished_at"),
    Column("leaked_debits", BigInteger),
    Column("leaked_messages", BigInteger),
    PrimaryKeyConstraint("organization_id", "epoch"),
    _one_of("status", "active", "suspended"),
)

payments = Table(
    "payments",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reference_id", Text),
    Column("provider_subscription_id", Text),
    _time("occurred_at"),
    _time("booked_at", now=True),
    PrimaryKeyConstraint("organization_id", "provider", "object_id"),
    UniqueConstraint("provider", "object_id"),
    _one_of("kind", "subscription", "topup", "returned"),
    CheckConstraint("amount_micros > 0", name="amount"),
    CheckConstraint("(kind = 'topup') = (reference_id IS NOT NULL)", name="reference"),
    Index(
        "payments_subscription_idx", "organization_id", "provider", "provider_subscription_id", "occurred_at",
        postgresql_where=text("kind = 'subscription'"),
    ),
)  # fmt: skip

reversals = Table(
    "reversals",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    Column("payment_kind", Text, nullable=False),
    Column("told_micros", BigInteger, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("taken_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("recovered_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("waived_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("recoveries", Integer, nullable=False, server_default=ZERO),
    _time("occurred_at"),
    _time("booked_at", now=True),
    _time("returned_at"),
    PrimaryKeyConstraint("organization_id", "provider", "object_id"),
    UniqueConstraint("provider", "object_id"),
    ForeignKeyConstraint(
        ["organization_id", "provider", "payment_id"],
        ["payments.organization_id", "payments.provider", "payments.object_id"],
    ),
    _one_of("what", "refund", "dispute"),
    _one_of("payment_kind", "subscription", "topup"),
    CheckConstraint("amount_micros BETWEEN 0 AND told_micros", name="amount"),
    CheckConstraint("taken_micros >= 0 AND recovered_micros >= 0 AND waived_micros >= 0", name="parts"),
    CheckConstraint("taken_micros + recovered_micros + waived_micros <= amount_micros", name="whole"),
    CheckConstraint(
        "payment_kind = 'topup' OR taken_micros + recovered_micros + waived_micros = 0", name="subscription"
    ),
    CheckConstraint("(recoveries > 0) = (recovered_micros > 0)", name="recoveries"),
    Index(
        "reversals_owed_idx", "organization_id", "booked_at",
        postgresql_where=text(
            "payment_kind = 'topup' AND returned_at IS NULL"
            " AND taken_micros + recovered_micros + waived_micros < amount_micros"
        ),
    ),
    Index("reversals_payment_idx", "organization_id", "provider", "payment_id"),
)  # fmt: skip

collections = Table(
    "collections",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("provider_subscription_id", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("payment_id", Text),
    _time("started_at", required=True),
    PrimaryKeyConstraint("organization_id", "idempotency_key"),
    _one_of("status", "pending", "completed", "declined", "refunded", "partially_refunded"),
    CheckConstraint("amount_micros > 0", name="amount"),
)

topups = Table(
    "topups",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("checkout_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="open"),
    _time("created_at", now=True),
    _time("settled_at"),
    PrimaryKeyConstraint("organization_id", "provider", "checkout_id"),
    UniqueConstraint("provider", "checkout_id"),
    UniqueConstraint("organization_id", "idempotency_key"),
    _one_of("provider", *Provider),
    _one_of("status", "open", "paid", "expired"),
    CheckConstraint("amount_micros > 0", name="amount"),
    CheckConstraint("(status = 'open') = (settled_at IS NULL)", name="settled"),
    Index("topups_open_idx", "organization_id", "created_at", postgresql_where=text("status = 'open'")),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("name", Text, nullable=False),
    _time("created_at", now=True),
    _time("revoked_at"),
    _one_of("scope", "read", "write", "operator"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("organization_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    _time("raised_at", now=True),
    _time("last_seen_at", now=True),
    _time("cleared_at"),
    Column("times", Integer, nullable=False, server_default=text("1")),
    PrimaryKeyConstraint("organization_id", "kind"),
)

APPEND_ONLY = (
    "ledger_entries", "ledger_seals", "ledger_heads", "money_changes", "gate_changes", "campaign_changes",
)  # fmt: skip
