"""What is taken for a foreign message before Twilio's usage shows it. Pure.

It need not be exact: it is returned in the transaction that charges the usage of its time.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.carrier.foreign import Direction
from domain.carrier.policies import Action, Policy, due

_BEGINNINGS = {"rcs": "usage-rcs", "whatsapp": "channels", "messenger": "channels"}
FREE = frozenset({"failed", "canceled", "scheduled"})
"""Statuses of messages that were not sent, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncharged:
    """A foreign message that nothing was charged for. `cost_micros` is Twilio's price of it, in the
    wallet's currency, None if it is not known.
    """

    message_sid: str
    direction: Direction
    channel: str
    segments: int
    cost_micros: int | None
    happened_at: datetime


def category(direction: Direction, channel: str) -> str:
    """The beginning that all usage categories have in which Twilio bills such a message."""
    return _BEGINNINGS.get(channel, f"{channel}-{direction.value}")


def amount(
    message: Uncharged, policy: Policy, *, own_micros: int | None, last_micros: int | None
) -> int | None:
    """What is taken, in micros of the wallet's currency; None: it waits for the usage.

    Without Twilio's price it is what the customer pays for a segment of their own messages
    (`own_micros`), or the last known price of such a message for each segment (`last_micros`).
    """
    if policy.action is Action.ABSORB:
        return None
    units = Decimal(message.segments)
    cost = message.cost_micros
    if cost is None and message.direction is Direction.OUTBOUND and own_micros is not None:
        return own_micros * message.segments
    if cost is None and last_micros is not None:
        cost = last_micros * message.segments
    if cost is None and policy.unit_price_micros is not None:
        return int(policy.unit_price_micros * units) or None
    return None if cost is None else due(cost, units, policy, Decimal(1)).micros or None
