"""What is done about a message that failed, by Twilio's error code: one table.

A message that Twilio refused, or failed before it left, costs at most a tenth of a cent and is refunded; one that a
carrier took and could not deliver is billed by Twilio, and is not. Sources: Twilio's pages of the codes, and "Failed
message processing fee", "How Twilio charges for undelivered messages".
"""

from dataclasses import dataclass
from enum import StrEnum

from domain.telephony import DeliveryStatus


class Failure(StrEnum):
    """Why a message failed, as far as something different is done about it."""

    ACCOUNT_SUSPENDED = "account_suspended"
    OPTED_OUT = "opted_out"
    WRONG_NUMBER = "wrong_number"
    NOT_PERMITTED = "not_permitted"
    QUEUE = "queue"
    UNREACHABLE = "unreachable"
    FILTERED = "filtered"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """`refund_undelivered`: also what a carrier took. `again`: it is paid and sent once more when the account may.

    `opt_out`: the recipient is remembered, and skipped by later campaigns.
    """

    refund_undelivered: bool = False
    again: bool = False
    opt_out: bool = False


REMEDIES = {
    Failure.ACCOUNT_SUSPENDED: Remedy(refund_undelivered=True, again=True),
    Failure.OPTED_OUT: Remedy(refund_undelivered=True, opt_out=True),
    Failure.WRONG_NUMBER: Remedy(),
    Failure.NOT_PERMITTED: Remedy(),
    Failure.QUEUE: Remedy(refund_undelivered=True),
    Failure.UNREACHABLE: Remedy(),
    Failure.FILTERED: Remedy(),
    Failure.OTHER: Remedy(),
}
CODES = {
    30002: Failure.ACCOUNT_SUSPENDED,
    90010: Failure.ACCOUNT_SUSPENDED,
    21610: Failure.OPTED_OUT,
    21211: Failure.WRONG_NUMBER,
    21614: Failure.WRONG_NUMBER,
    30005: Failure.WRONG_NUMBER,
    30006: Failure.WRONG_NUMBER,
    21408: Failure.NOT_PERMITTED,
    30032: Failure.NOT_PERMITTED,
    30034: Failure.NOT_PERMITTED,
    30001: Failure.QUEUE,
    30036: Failure.QUEUE,
    30003: Failure.UNREACHABLE,
    30004: Failure.FILTERED,
    30007: Failure.FILTERED,
}
_NEVER_LEFT = frozenset({DeliveryStatus.FAILED, DeliveryStatus.CANCELED})


def remedy(code: int | None) -> Remedy:
    return REMEDIES[CODES.get(code or 0, Failure.OTHER)]


def refunded(status: DeliveryStatus, code: int | None) -> bool:
    """Whether the customer gets back what a message cost that ended like this."""
    return status in _NEVER_LEFT or (status is DeliveryStatus.UNDELIVERED and remedy(code).refund_undelivered)
