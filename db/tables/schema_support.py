"""The table that says which builds may still run on this schema."""

from sqlalchemy import Boolean, CheckConstraint, Column, PrimaryKeyConstraint, Table, Text

from db.tables.columns import TRUE, metadata

schema_support = Table(
    "schema_support",
    metadata,
    Column("only_row", Boolean, nullable=False, server_default=TRUE),
    Column("oldest_build", Text, nullable=False),
    PrimaryKeyConstraint("only_row"),
    CheckConstraint("only_row", name="only_row"),
)
