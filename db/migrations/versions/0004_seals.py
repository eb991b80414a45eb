"""seals

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NETSTRING = """
CREATE FUNCTION netstring(value text) RETURNS text LANGUAGE sql STABLE
RETURN octet_length(value) || ':' || value || ','
"""
ENTRY_BYTES = """
CREATE FUNCTION ledger_entry_bytes(e ledger_entries) RETURNS bytea LANGUAGE sql STABLE
RETURN convert_to(
    netstring(e.organization_id) || netstring(e.seq::text) || netstring(e.kind) || netstring(e.amount_micros::text)
    || netstring(e.balance_after_micros::text) || netstring(e.reference_id) || netstring(coalesce(e.refunds, ''))
    || netstring(e.description) || netstring((extract(epoch FROM e.created_at) * 1000000)::bigint::text),
    'UTF8')
"""
LINK = """
CREATE FUNCTION ledger_link(seal bytea, first bytea, entry bytea) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN sha256(coalesce(seal, first) || entry)
"""
CHAIN = (
    "CREATE AGGREGATE ledger_chain(first bytea, entry bytea) (SFUNC = ledger_link, STYPE = bytea)"
)
APPEND_ONLY = """
CREATE TRIGGER ledger_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_seals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_changes()
"""


def upgrade() -> None:
    op.create_table(
        "ledger_seals",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("length(sha256) = 32", name=op.f("ledger_seals_sha256_check")),
        sa.PrimaryKeyConstraint("organization_id", "seq", name=op.f("ledger_seals_pkey")),
    )
    for statement in (APPEND_ONLY, NETSTRING, ENTRY_BYTES, LINK, CHAIN):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP AGGREGATE ledger_chain(bytea, bytea)")
    op.execute("DROP FUNCTION ledger_link, ledger_entry_bytes, netstring")
    op.drop_table("ledger_seals")
