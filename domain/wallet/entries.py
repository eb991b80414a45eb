"""Entries of the ledger, and the postings that become entries. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from domain.money import Money


class EntryKind(StrEnum):
    CREDIT = "credit"
    DEBIT = "debit"
    REFUND = "refund"
    REVERSAL = "reversal"
    RECOVERY = "recovery"
    CARRIER_CHARGE = "carrier_charge"
    CARRIER_REFUND = "carrier_refund"


ALREADY_GONE = frozenset({EntryKind.REVERSAL, EntryKind.RECOVERY, EntryKind.CARRIER_CHARGE})
"""Money that a payer got back, or that Twilio charged: it is gone already, so neither the gate nor a
freeze stops the entry.
"""
TAKES = ALREADY_GONE | {EntryKind.DEBIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One requested movement. `amount` is positive for every kind; `refunds` names the debit that a
    refund returns.

    A reference counts once per organization: a repeated request with the same content returns the
    first result and books nothing.
    """

    kind: EntryKind
    reference_id: str
    amount: Money
    refunds: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if self.amount.micros <= 0:
            raise ValueError("a posting's amount is positive")
        if (self.kind is EntryKind.REFUND) != (self.refunds is not None):
            raise ValueError("a refund, and only a refund, names the debit that it returns")

    @property
    def signed_micros(self) -> int:
        return -self.amount.micros if self.kind in TAKES else self.amount.micros


def debit(reference_id: str, amount: Money, description: str = "") -> Posting:
    return Posting(
        kind=EntryKind.DEBIT, reference_id=reference_id, amount=amount, description=description
    )


def credit(reference_id: str, amount: Money, description: str = "") -> Posting:
    return Posting(
        kind=EntryKind.CREDIT, reference_id=reference_id, amount=amount, description=description
    )


def refund(reference_id: str, refunds: str, amount: Money, description: str = "") -> Posting:
    return Posting(
        kind=EntryKind.REFUND,
        reference_id=reference_id,
        amount=amount,
        refunds=refunds,
        description=description,
    )


def reversal(reference_id: str, amount: Money, description: str = "") -> Posting:
    return Posting(
        kind=EntryKind.REVERSAL, reference_id=reference_id, amount=amount, description=description
    )


def recovery(reference_id: str, amount: Money, description: str = "") -> Posting:
    """Collects later what a reversal or a carrier charge could not take."""
    return Posting(
        kind=EntryKind.RECOVERY, reference_id=reference_id, amount=amount, description=description
    )


def carrier_charge(reference_id: str, amount: Money, description: str = "") -> Posting:
    return Posting(
        kind=EntryKind.CARRIER_CHARGE,
        reference_id=reference_id,
        amount=amount,
        description=description,
    )


def carrier_refund(reference_id: str, amount: Money, description: str = "") -> Posting:
    """Returns a part of what was charged: Twilio corrected its bill."""
    return Posting(
        kind=EntryKind.CARRIER_REFUND,
        reference_id=reference_id,
        amount=amount,
        description=description,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A ledger entry. `amount_micros` is signed; `seq` numbers the wallet's entries from 1 without
    gaps.
    """

    seq: int
    kind: EntryKind
    amount_micros: int
    balance_after_micros: int
    reference_id: str
    refunds: str | None = None
    description: str = ""
