"""How far a webhook delivery is handled."""

from enum import StrEnum


class InboxStatus(StrEnum):
    """`PARKED` deliveries wait for something that is still missing, or for a person: they are
    retried and listed.
    """

    UNHANDLED = "unhandled"
    PARKED = "parked"
    HANDLED = "handled"
