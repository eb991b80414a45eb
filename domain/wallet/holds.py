"""Holds: money reserved for a debit whose amount is known later. Pure; `db/wallet` runs it under
the wallet's lock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.money import Money
from domain.wallet.ledger import (
    Conflict,
    Frozen,
    InsufficientFunds,
    Suspended,
    TooLarge,
    WalletNotFound,
    WrongCurrency,
)

LONGEST = timedelta(days=366)


class HoldStatus(StrEnum):
    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Reduces the available amount while it is open. Its reference is that of the debit which
    captures it.
    """

    reference_id: str
    amount: Money
    expires_at: datetime
    description: str = ""
    status: HoldStatus = HoldStatus.OPEN
    captured_micros: int = 0

    def same(self, other: "Hold") -> bool:
        return (self.amount, self.expires_at) == (other.amount, other.expires_at)

    def lapsed(self, now: datetime) -> bool:
        return self.status is HoldStatus.OPEN and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Held:
    """`replayed`: the hold already had this state, and nothing changes now."""

    hold: Hold
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class HoldNotFound:
    reference_id: str


@dataclass(frozen=True, slots=True)
class HoldConflict:
    """The reference belongs to a different hold, or to one that was captured with another amount."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class HoldClosed:
    """It was captured, released or has expired: nothing is left to capture or release."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class CaptureTooLarge:
    """A capture takes at most the reserved amount."""

    held_micros: int


@dataclass(frozen=True, slots=True)
class BadExpiry:
    """Whether the hold expires in the future, within `LONGEST`."""


Refusal = Suspended | Frozen | InsufficientFunds | WrongCurrency | WalletNotFound | Conflict
Reserved = Held | HoldConflict | BadExpiry | Refusal
Captured = Held | HoldNotFound | HoldConflict | HoldClosed | CaptureTooLarge | Refusal | TooLarge
Released = Held | HoldNotFound | HoldClosed | WalletNotFound


def expires_well(hold: Hold, now: datetime) -> bool:
    return now < hold.expires_at <= now + LONGEST
