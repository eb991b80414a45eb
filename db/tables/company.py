"""The tables of what Twilio charges the company itself: the parent accounts, and subaccounts that no
organization has.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from db.tables.columns import ZERO, metadata, time

company_accounts = Table(
    "company_accounts",
    metadata,
    Column("account_sid", Text, primary_key=True),
    Column("parent_sid", Text, nullable=False),  # its own, if it is a parent
    Column("name", Text, nullable=False, server_default=""),  # Twilio's friendly name
    time("listed_at", required=True),
    time("due_at", required=True),
    time("changed_at"),  # when a reading last found more or other usage
    time("as_of"),  # up to when Twilio's figures are complete
    Column("failures", Integer, nullable=False, server_default=ZERO),
    Index("company_accounts_due_idx", "due_at"),
)

# The totals of days, with revisions as `carrier_usage`. The days of an organization's subaccount
# before it was charged are the company's, too.
company_usage = Table(
    "company_usage",
    metadata,
    Column("account_sid", Text, nullable=False),
    Column("day", Date, nullable=False),  # UTC
    Column("revision", Integer, nullable=False),
    Column("price_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    time("as_of"),
    time("read_at", now=True),
    PrimaryKeyConstraint("account_sid", "day", "revision"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("revision > 0", name="revision"),
    Index("company_usage_day_idx", "day"),
)
