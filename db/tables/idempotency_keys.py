"""The table of the `Idempotency-Key`s of requests that have no reference of their own."""

from sqlalchemy import Boolean, Column, LargeBinary, PrimaryKeyConstraint, Table, Text

from db.tables.columns import metadata, time

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    # '' for what belongs to no organization, so it is no foreign key
    Column("organization_id", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("answer", Text),  # only where it cannot be read again
    time("created_at", now=True),
    PrimaryKeyConstraint("organization_id", "operation", "key"),
)
