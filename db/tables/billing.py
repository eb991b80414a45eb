"""The tables of subscriptions and of the money that providers reported."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from db.tables.columns import FALSE, ZERO, by_time, metadata, one_of, time
from domain.billing.subscription import Provider

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_subscription_id", Text, nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("raw_status", Text, nullable=False, server_default=""),
    time("as_of"),
    time("confirmed_at"),
    time("access_until"),
    time("paid_until"),
    time("paid_from"),
    time("paid_at"),
    time("past_due_since"),
    Column("shut_for_debt", Boolean, nullable=False, server_default=FALSE),
    Column("word_state", Text),
    time("word_as_of"),
    time("word_until"),
    time("word_since"),
    time("doubted_at"),
    Column("outstanding_micros", BigInteger),
    Column("outstanding_currency", Text),
    Column("failed_payments", Integer, nullable=False, server_default=ZERO),
    Column("alert", Text),
    Column("checkout_url", Text),
    Column("checkout_key", Text),
    Column("checkout_plan_id", Text),
    time("linked_at", now=True),
    PrimaryKeyConstraint("organization_id", "provider", "provider_subscription_id"),
    UniqueConstraint("provider", "provider_subscription_id"),
    one_of("provider", *Provider),
    one_of(
        "state", "none", "pending", "trialing", "active", "past_due", "suspended_nonpayment", "paused", "canceled",
        "expired",
    ),
    one_of("word_state", "past_due", "suspended_nonpayment", "paused", "canceled", "expired"),
    Index("subscriptions_one_current_idx", "organization_id", unique=True, postgresql_where=text("is_current")),
    Index(
        "subscriptions_left_idx", "state", "organization_id", postgresql_where=text("NOT is_current")
    ),
    Index(
        "subscriptions_checkout_key_idx", "organization_id", "checkout_key", unique=True,
        postgresql_where=text("checkout_key IS NOT NULL"),
    ),
)  # fmt: skip

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
    time("occurred_at"),
    time("booked_at", now=True),
    PrimaryKeyConstraint("organization_id", "provider", "object_id"),
    UniqueConstraint("provider", "object_id"),
    one_of("kind", "subscription", "topup", "returned"),
    CheckConstraint("amount_micros > 0", name="amount"),
    CheckConstraint("(kind = 'topup') = (reference_id IS NOT NULL)", name="reference"),
    Index(
        "payments_subscription_idx", "organization_id", "provider", "provider_subscription_id", "occurred_at",
        postgresql_where=text("kind = 'subscription'"),
    ),
    by_time("payments", "booked_at"),
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
    time("occurred_at"),
    time("booked_at", now=True),
    time("returned_at"),
    PrimaryKeyConstraint("organization_id", "provider", "object_id"),
    UniqueConstraint("provider", "object_id"),
    ForeignKeyConstraint(
        ["organization_id", "provider", "payment_id"],
        ["payments.organization_id", "payments.provider", "payments.object_id"],
    ),
    one_of("what", "refund", "dispute"),
    one_of("payment_kind", "subscription", "topup"),
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
    by_time("reversals", "booked_at", "returned_at"),
)  # fmt: skip

carrier_debts = Table(
    "carrier_debts",
    metadata,
    Column("organization_id", ForeignKey("wallets.organization_id"), nullable=False),
    Column("reference_id", Text, nullable=False),  # the charge's; what was taken is its entry
    Column("amount_micros", BigInteger, nullable=False),
    Column("recovered_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("waived_micros", BigInteger, nullable=False, server_default=ZERO),
    Column("recoveries", Integer, nullable=False, server_default=ZERO),
    time("booked_at", required=True),
    PrimaryKeyConstraint("organization_id", "reference_id"),
    CheckConstraint("amount_micros > 0", name="amount"),
    CheckConstraint("recovered_micros >= 0 AND waived_micros >= 0", name="parts"),
    CheckConstraint("recovered_micros + waived_micros <= amount_micros", name="whole"),
    CheckConstraint("(recoveries > 0) = (recovered_micros > 0)", name="recoveries"),
    CheckConstraint("reference_id ~ '^carrier:.'", name="reference"),
    Index(
        "carrier_debts_owed_idx", "organization_id", "booked_at",
        postgresql_where=text("recovered_micros + waived_micros < amount_micros"),
    ),
    by_time("carrier_debts", "booked_at"),
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
    time("started_at", required=True),
    PrimaryKeyConstraint("organization_id", "idempotency_key"),
    one_of("status", "pending", "completed", "declined", "refunded", "partially_refunded"),
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
    Column("payment_id", Text),  # nothing in rows of earlier releases
    time("created_at", now=True),
    time("settled_at"),
    PrimaryKeyConstraint("organization_id", "provider", "checkout_id"),
    UniqueConstraint("provider", "checkout_id"),
    UniqueConstraint("organization_id", "idempotency_key"),
    one_of("provider", *Provider),
    one_of("status", "open", "paid", "expired"),
    CheckConstraint("amount_micros > 0", name="amount"),
    CheckConstraint("(status = 'open') = (settled_at IS NULL)", name="settled"),
    Index("topups_newest_idx", "organization_id", "created_at", "checkout_id"),
    Index(
        "topups_open_idx", "organization_id", "created_at", postgresql_where=text("status = 'open'")
    ),
    by_time("topups", "settled_at"),
)
