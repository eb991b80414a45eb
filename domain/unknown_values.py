"""Values that a newer build wrote, and that this one has no name for: they are read as they are."""

from enum import StrEnum
from typing import TypeVar

Named = TypeVar("Named", bound=StrEnum)


def member(of: type[Named], value: str) -> Named:
    """The member with the value, or one that equals none of those that this build knows. Only for
    what the database has: what a request names must be known.
    """
    try:
        return of(value)
    except ValueError:
        unknown = str.__new__(of, value)
        unknown._name_, unknown._value_ = value.upper(), value
        return unknown
