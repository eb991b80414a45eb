"""The table of API keys."""

from sqlalchemy import Column, LargeBinary, Table, Text

from db.tables.columns import metadata, one_of, time

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("name", Text, nullable=False),
    time("created_at", now=True),
    time("revoked_at"),
    one_of("scope", "read", "write", "operator"),
)
