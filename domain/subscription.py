"""A subscription as the provider last told it, in neutral words; decides which of two tellings is the newer."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.money import Money


class Provider(StrEnum):
    PAYPAL = "paypal"
    STRIPE = "stripe"


class State(StrEnum):
    """What a subscription is, whoever bills it. `NONE` is: nobody has told us yet."""

    NONE = "none"
    PENDING = "pending"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    SUSPENDED_NONPAYMENT = "suspended_nonpayment"
    PAUSED = "paused"
    CANCELED = "canceled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


PAID = frozenset({State.ACTIVE, State.TRIALING})
BILLING = PAID | {State.PAST_DUE}
LAPSED = frozenset({State.SUSPENDED_NONPAYMENT, State.PAUSED, State.CANCELED, State.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A subscription's state at one provider.

    `as_of` is the newest of the provider's own times in the object (aware, UTC), None where it gave none.
    `access_until` is the paid-through time where the provider tells it.
    `custom_id` is what the host application wrote into the subscription: our organization's id.
    `subscription_id` is set where the provider names the subscription otherwise than it was asked for: a checkout
    that the customer has completed.
    `cancels`: it bills no further period, though the one that runs is not over. `note` is the reason that the provider
    was given for its last change.
    """

    state: State
    raw_status: str = ""
    as_of: datetime | None = None
    access_until: datetime | None = None
    outstanding: Money | None = None
    failed_payments: int = 0
    custom_id: str | None = None
    subscription_id: str | None = None
    cancels: bool = False
    note: str | None = None


class Order(StrEnum):
    NEWER = "newer"
    OLDER = "older"
    UNCLEAR = "unclear"


def order(told: datetime | None, known: datetime | None) -> Order:
    """Whether what is told at `told` is newer than what is known as of `known`.

    Equal or missing times say nothing: providers' clocks tick in whole seconds.
    """
    if told is None or known is None or told == known:
        return Order.UNCLEAR
    return Order.NEWER if told > known else Order.OLDER
