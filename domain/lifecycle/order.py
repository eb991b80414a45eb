"""The orders in which organizations are listed."""

from enum import StrEnum


class Order(StrEnum):
    """`OWED`: the largest debt first, and only those that owe."""

    ID = "id"
    LONGEST = "since"
    NEWEST = "-since"
    OWED = "owed"
