"""The metadata that all tables share, and the columns and checks that many of them have."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BindParameter,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    bindparam,
    text,
)

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


def time(name: str, *, required: bool = False, now: bool = False) -> Column[object]:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=not (required or now),
        server_default=NOW if now else None,
    )


def written(value: str) -> BindParameter[Any]:
    """The value, written out in the statement: for a parameter, whose value is not known when the
    statement is planned, PostgreSQL uses no index of some rows only.
    """
    return bindparam(None, value, literal_execute=True)


def written_limit() -> BindParameter[int]:
    """The parameter `limit`, written out: for one whose value is not known, PostgreSQL expects a tenth
    of all rows, and plans each call of a statement on many rows anew.
    """
    return bindparam("limit", type_=Integer, literal_execute=True)


def written_all(values: Iterable[str]) -> BindParameter[Any]:
    """The same for `in_`."""
    return bindparam(None, list(values), expanding=True, literal_execute=True)


def one_of(column: str, *values: str) -> CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


def by_time(table: str, *columns: str) -> Index:
    """Finds what is new: a small index of pages, not of rows, which keeps no update from staying in
    its page.
    """
    return Index(
        f"{table}_times_idx",
        *columns,
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
