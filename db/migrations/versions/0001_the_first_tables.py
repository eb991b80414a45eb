"""the first tables

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("ledger_entries", "gate_changes", "campaign_changes")
REFUSE_CHANGES = """
CREATE FUNCTION refuse_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
UUIDV7 = """
DO $$
BEGIN
    IF current_setting('server_version_num')::int < 180000 THEN  -- later ones have it
        CREATE FUNCTION uuidv7() RETURNS uuid LANGUAGE sql VOLATILE AS $function$
            SELECT encode(
                set_bit(set_bit(
                    overlay(uuid_send(gen_random_uuid())
                            PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                            FROM 1 FOR 6),
                    52, 1), 53, 1),
                'hex')::uuid
        $function$;
    END IF;
END $$
"""
NO_UUIDV7 = """
DO $$
BEGIN
    IF current_setting('server_version_num')::int < 180000 THEN
        DROP FUNCTION uuidv7();
    END IF;
END $$
"""


def upgrade() -> None:
    op.execute(UUIDV7)
    op.create_table(
        "alerts",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column(
            "raised_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "kind", name=op.f("alerts_pkey")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "scope IN ('read', 'write', 'operator')", name=op.f("api_keys_scope_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("sha256", name=op.f("api_keys_sha256_key")),
    )
    op.create_table(
        "organizations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("twilio_account_sid", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("price_per_segment_micros", sa.BigInteger(), nullable=False),
        sa.Column("grace_seconds", sa.Integer(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("organizations_currency_check")),
        sa.CheckConstraint(
            "id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'", name=op.f("organizations_id_check")
        ),
        sa.CheckConstraint("grace_seconds >= 0", name=op.f("organizations_grace_check")),
        sa.CheckConstraint("price_per_segment_micros > 0", name=op.f("organizations_price_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("organizations_pkey")),
        sa.UniqueConstraint(
            "twilio_account_sid", name=op.f("organizations_twilio_account_sid_key")
        ),
    )
    op.create_table(
        "blocks",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column(
            "placed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "kind IN ('dispute', 'admin', 'telephony')", name=op.f("blocks_kind_check")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("blocks_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "kind", "reference", name=op.f("blocks_pkey")),
    )
    op.create_table(
        "campaigns",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="draft", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status IN ('parked', 'paused')) = (reason <> '')", name=op.f("campaigns_reason_check")
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'running', 'parked', 'paused', 'completed')",
            name=op.f("campaigns_status_check"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("campaigns_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("campaigns_pkey")),
        sa.UniqueConstraint(
            "organization_id",
            "idempotency_key",
            name=op.f("campaigns_organization_id_idempotency_key_key"),
        ),
    )
    op.create_index(
        "campaigns_live_idx",
        "campaigns",
        ["heard_at"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("transmission_id", sa.Text(), nullable=True),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.Column("provider_subscription_id", sa.Text(), nullable=True),
        sa.Column("money_kind", sa.Text(), nullable=True),
        sa.Column("money_id", sa.Text(), nullable=True),
        sa.Column("custom_id", sa.Text(), nullable=True),
        sa.Column("payment_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("deliveries", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "next_attempt_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("(clock_timestamp() + '00:01:00'::interval)"),
            nullable=False,
        ),
        sa.Column("folded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'handled') = (handled_at IS NOT NULL)", name=op.f("inbox_handled_check")
        ),
        sa.CheckConstraint("provider IN ('paypal', 'stripe')", name=op.f("inbox_provider_check")),
        sa.CheckConstraint(
            "status IN ('unhandled', 'parked', 'handled')", name=op.f("inbox_status_check")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("inbox_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("inbox_pkey")),
        sa.UniqueConstraint("provider", "event_id", name=op.f("inbox_provider_event_id_key")),
        sa.UniqueConstraint(
            "provider", "transmission_id", name=op.f("inbox_provider_transmission_id_key")
        ),
    )
    op.create_index("inbox_organization_idx", "inbox", ["organization_id", "id"], unique=False)
    op.create_index(
        "inbox_waiting_idx",
        "inbox",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status <> 'handled'"),
    )
    op.create_table(
        "payments",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.Text(), nullable=True),
        sa.Column("provider_subscription_id", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "booked_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(kind = 'topup') = (reference_id IS NOT NULL)", name=op.f("payments_reference_check")
        ),
        sa.CheckConstraint("kind IN ('subscription', 'topup')", name=op.f("payments_kind_check")),
        sa.CheckConstraint("amount_micros > 0", name=op.f("payments_amount_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("payments_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "provider", "object_id", name=op.f("payments_pkey")
        ),
        sa.UniqueConstraint("provider", "object_id", name=op.f("payments_provider_object_id_key")),
    )
    op.create_table(
        "receipts",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "steps",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leaked_debits", sa.BigInteger(), nullable=True),
        sa.Column("leaked_messages", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status IN ('active', 'suspended')", name=op.f("receipts_status_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("receipts_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "epoch", name=op.f("receipts_pkey")),
    )
    op.create_table(
        "standings",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column(
            "blocks", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("applied_epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "decided_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stuck_step", sa.Text(), nullable=True),
        sa.Column("stuck_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(status = 'suspended') = (cardinality(blocks) > 0)",
            name=op.f("standings_blocked_check"),
        ),
        sa.CheckConstraint(
            "status IN ('active', 'suspended')", name=op.f("standings_status_check")
        ),
        sa.CheckConstraint("applied_epoch <= epoch", name=op.f("standings_applied_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("standings_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("standings_pkey")),
    )
    op.create_index(
        "standings_behind_idx",
        "standings",
        ["decided_at"],
        unique=False,
        postgresql_where=sa.text("applied_epoch < epoch"),
    )
    op.create_index(
        "standings_due_idx",
        "standings",
        ["deadline"],
        unique=False,
        postgresql_where=sa.text("deadline IS NOT NULL"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_subscription_id", sa.Text(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("raw_status", sa.Text(), server_default="", nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("access_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("past_due_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outstanding_micros", sa.BigInteger(), nullable=True),
        sa.Column("outstanding_currency", sa.Text(), nullable=True),
        sa.Column("failed_payments", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("alert", sa.Text(), nullable=True),
        sa.Column("checkout_url", sa.Text(), nullable=True),
        sa.Column("checkout_key", sa.Text(), nullable=True),
        sa.Column(
            "linked_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "provider IN ('paypal', 'stripe')", name=op.f("subscriptions_provider_check")
        ),
        sa.CheckConstraint(
            "state IN ('none', 'pending', 'trialing', 'active', 'past_due', 'suspended_nonpayment', 'paused', 'canceled', 'expired')",
            name=op.f("subscriptions_state_check"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("subscriptions_organization_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id",
            "provider",
            "provider_subscription_id",
            name=op.f("subscriptions_pkey"),
        ),
        sa.UniqueConstraint(
            "provider",
            "provider_subscription_id",
            name=op.f("subscriptions_provider_provider_subscription_id_key"),
        ),
    )
    op.create_index(
        "subscriptions_checkout_key_idx",
        "subscriptions",
        ["organization_id", "checkout_key"],
        unique=True,
        postgresql_where=sa.text("checkout_key IS NOT NULL"),
    )
    op.create_index(
        "subscriptions_one_current_idx",
        "subscriptions",
        ["organization_id"],
        unique=True,
        postgresql_where=sa.text("is_current"),
    )
    op.create_table(
        "wallets",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("balance_micros", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("entries", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("gate_open", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "frozen_by_suspension", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column(
            "frozen_by_operator", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("freeze_reason", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "balance_micros <= 4611686018427387904", name=op.f("wallets_balance_limit_check")
        ),
        sa.CheckConstraint("balance_micros >= 0", name=op.f("wallets_balance_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("wallets_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("wallets_pkey")),
    )
    op.create_table(
        "campaign_changes",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=False),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("by IN ('person', 'tollgate')", name=op.f("campaign_changes_by_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "campaign_id"],
            ["campaigns.organization_id", "campaigns.id"],
            name=op.f("campaign_changes_organization_id_campaign_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("campaign_changes_pkey")),
    )
    op.create_index(
        "campaign_changes_campaign_idx",
        "campaign_changes",
        ["organization_id", "campaign_id", "id"],
        unique=False,
    )
    op.create_table(
        "gate_changes",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("after_seq", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "change IN ('shut', 'opened', 'frozen_by_suspension', 'unfrozen_by_suspension', 'frozen_by_operator', 'unfrozen_by_operator')",
            name=op.f("gate_changes_change_check"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["wallets.organization_id"],
            name=op.f("gate_changes_organization_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("gate_changes_pkey")),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("balance_after_micros", sa.BigInteger(), nullable=False),
        sa.Column("reference_id", sa.Text(), nullable=False),
        sa.Column("refunds", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(kind = 'debit') = (amount_micros < 0)", name=op.f("ledger_entries_sign_check")
        ),
        sa.CheckConstraint(
            "(kind = 'refund') = (refunds IS NOT NULL)", name=op.f("ledger_entries_refunds_check")
        ),
        sa.CheckConstraint(
            "kind IN ('credit', 'debit', 'refund')", name=op.f("ledger_entries_kind_check")
        ),
        sa.CheckConstraint("amount_micros <> 0", name=op.f("ledger_entries_amount_check")),
        sa.CheckConstraint(
            "balance_after_micros >= 0", name=op.f("ledger_entries_balance_after_check")
        ),
        sa.CheckConstraint(
            "length(reference_id) BETWEEN 1 AND 255", name=op.f("ledger_entries_reference_check")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "refunds"],
            ["ledger_entries.organization_id", "ledger_entries.reference_id"],
            name=op.f("ledger_entries_organization_id_refunds_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["wallets.organization_id"],
            name=op.f("ledger_entries_organization_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "seq", name=op.f("ledger_entries_pkey")),
        sa.UniqueConstraint(
            "organization_id",
            "reference_id",
            name=op.f("ledger_entries_organization_id_reference_id_key"),
        ),
    )
    op.create_index(
        "ledger_entries_refunds_once_idx",
        "ledger_entries",
        ["organization_id", "refunds"],
        unique=True,
        postgresql_where=sa.text("refunds IS NOT NULL"),
    )
    op.create_table(
        "messages",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("delivery_status", sa.Text(), nullable=True),
        sa.Column("provider_sid", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("provider_price_micros", sa.BigInteger(), nullable=True),
        sa.Column("provider_price_currency", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("sending_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'reserved', 'sending', 'accepted', 'refused', 'unknown', 'lost')",
            name=op.f("messages_status_check"),
        ),
        sa.CheckConstraint(
            "(campaign_id IS NULL) = (body IS NOT NULL)", name=op.f("messages_body_check")
        ),
        sa.CheckConstraint(
            "(campaign_id IS NULL) = (idempotency_key IS NOT NULL)", name=op.f("messages_key_check")
        ),
        sa.CheckConstraint(
            "(campaign_id IS NULL) = (position IS NULL)", name=op.f("messages_position_check")
        ),
        sa.CheckConstraint("price_micros > 0 AND segments > 0", name=op.f("messages_price_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "campaign_id"],
            ["campaigns.organization_id", "campaigns.id"],
            name=op.f("messages_organization_id_campaign_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("messages_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("messages_pkey")),
        sa.UniqueConstraint(
            "organization_id",
            "campaign_id",
            "position",
            name=op.f("messages_organization_id_campaign_id_position_key"),
        ),
        sa.UniqueConstraint(
            "organization_id",
            "idempotency_key",
            name=op.f("messages_organization_id_idempotency_key_key"),
        ),
        sa.UniqueConstraint(
            "organization_id",
            "provider_sid",
            name=op.f("messages_organization_id_provider_sid_key"),
        ),
    )
    op.create_index(
        "messages_to_send_idx",
        "messages",
        ["organization_id", "campaign_id", "position"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'reserved', 'sending', 'unknown')"),
    )
    op.create_index(
        "messages_unsettled_idx",
        "messages",
        ["organization_id", "sending_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('sending', 'unknown')"),
    )
    op.execute(REFUSE_CHANGES)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_changes()"
        )


def downgrade() -> None:
    op.drop_index(
        "messages_unsettled_idx",
        table_name="messages",
        postgresql_where=sa.text("status IN ('sending', 'unknown')"),
    )
    op.drop_index(
        "messages_to_send_idx",
        table_name="messages",
        postgresql_where=sa.text("status IN ('pending', 'reserved', 'sending', 'unknown')"),
    )
    op.drop_table("messages")
    op.drop_index(
        "ledger_entries_refunds_once_idx",
        table_name="ledger_entries",
        postgresql_where=sa.text("refunds IS NOT NULL"),
    )
    op.drop_table("ledger_entries")
    op.drop_table("gate_changes")
    op.drop_index("campaign_changes_campaign_idx", table_name="campaign_changes")
    op.drop_table("campaign_changes")
    op.drop_table("wallets")
    op.drop_index(
        "subscriptions_one_current_idx",
        table_name="subscriptions",
        postgresql_where=sa.text("is_current"),
    )
    op.drop_index(
        "subscriptions_checkout_key_idx",
        table_name="subscriptions",
        postgresql_where=sa.text("checkout_key IS NOT NULL"),
    )
    op.drop_table("subscriptions")
    op.drop_index(
        "standings_due_idx",
        table_name="standings",
        postgresql_where=sa.text("deadline IS NOT NULL"),
    )
    op.drop_index(
        "standings_behind_idx",
        table_name="standings",
        postgresql_where=sa.text("applied_epoch < epoch"),
    )
    op.drop_table("standings")
    op.drop_table("receipts")
    op.drop_table("payments")
    op.drop_index(
        "inbox_waiting_idx", table_name="inbox", postgresql_where=sa.text("status <> 'handled'")
    )
    op.drop_index("inbox_organization_idx", table_name="inbox")
    op.drop_table("inbox")
    op.drop_index(
        "campaigns_live_idx", table_name="campaigns", postgresql_where=sa.text("status = 'running'")
    )
    op.drop_table("campaigns")
    op.drop_table("blocks")
    op.drop_table("organizations")
    op.drop_table("api_keys")
    op.drop_table("alerts")
    op.execute("DROP FUNCTION refuse_changes()")
    op.execute(NO_UUIDV7)
