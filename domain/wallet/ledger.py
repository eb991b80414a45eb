"""The ledger's arithmetic: applies a list of postings to one wallet. Pure; `db/wallet` runs it
under the lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.money import LARGEST_MICROS
from domain.wallet.entries import ALREADY_GONE, Entry, EntryKind, Posting

FENCED = "nothing is sent until the database, which may have been restored, is recovered"


@dataclass(frozen=True, slots=True)
class Posted:
    """Booked now, or by an earlier request with the same reference (`replayed`)."""

    entry: Entry
    replayed: bool = False


class Debited(Posted):
    pass


class Credited(Posted):
    pass


class Refunded(Posted):
    pass


class TakenBack(Posted):
    pass


class Charged(Posted):
    pass


@dataclass(frozen=True, slots=True)
class InsufficientFunds:
    """`balance_micros` is the available amount: the balance minus open holds."""

    balance_micros: int
    needed_micros: int


@dataclass(frozen=True, slots=True)
class Frozen:
    reason: str


@dataclass(frozen=True, slots=True)
class Suspended:
    """The gate is shut: the standing is SUSPENDED, or its reactivation has not reached the wallet
    yet.
    """


@dataclass(frozen=True, slots=True)
class WalletNotFound:
    organization_id: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """The reference was used before with other content; `entry` is the entry that has it."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class WrongCurrency:
    wallet_currency: str


@dataclass(frozen=True, slots=True)
class NothingToRefund:
    """No debit has the reference, or it was already refunded under another reference, or it was
    smaller.
    """

    refunds: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The balance would exceed what a wallet can hold (2^62 micros)."""

    balance_micros: int


Outcome = (
    Debited
    | Credited
    | Refunded
    | TakenBack
    | Charged
    | InsufficientFunds
    | Frozen
    | Suspended
    | WalletNotFound
    | Conflict
    | WrongCurrency
    | NothingToRefund
    | TooLarge
)

_POSTED: dict[
    EntryKind,
    type[Debited] | type[Credited] | type[Refunded] | type[TakenBack] | type[Charged],
] = {
    EntryKind.DEBIT: Debited,
    EntryKind.CREDIT: Credited,
    EntryKind.REFUND: Refunded,
    EntryKind.REVERSAL: TakenBack,
    EntryKind.RECOVERY: TakenBack,
    EntryKind.CARRIER_CHARGE: Charged,
    EntryKind.CARRIER_REFUND: Credited,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """A row of the wallet. It pays only while the gate is open and it is not frozen."""

    organization_id: str
    currency: str
    balance_micros: int
    entries: int
    gate_open: bool = True
    frozen_by_suspension: bool = False
    frozen_by_operator: bool = False
    freeze_reason: str | None = None
    held_micros: int = 0
    """The sum of open holds; no debit may use it."""
    fenced: bool = False
    """The whole installation sends nothing: its database may have been restored."""

    @property
    def available_micros(self) -> int:
        return self.balance_micros - self.held_micros

    @property
    def frozen(self) -> bool:
        return self.frozen_by_suspension or self.frozen_by_operator

    @property
    def pays(self) -> bool:
        return self.gate_open and not self.frozen and not self.fenced


def settle(
    wallet: Wallet,
    existing: Mapping[str, Entry],
    refunded: frozenset[str],
    postings: Sequence[Posting],
) -> tuple[list[Outcome], list[Entry]]:
    """Decide postings in order, each on the balance left by the previous one; returns outcomes and
    new entries.

    `existing` are the entries that already have the references of the postings or of their
    `refunds`; `refunded` are the debits among them that were refunded. A refused posting does not
    reduce the balance for the following ones.
    """
    entries: list[Entry] = []
    outcomes: list[Outcome] = []
    book = dict(existing)
    returned = set(refunded)
    balance = wallet.balance_micros
    for posting in postings:
        outcome = _decide(
            wallet, balance, wallet.entries + len(entries) + 1, book, returned, posting
        )
        outcomes.append(outcome)
        if isinstance(outcome, Posted) and not outcome.replayed:
            entries.append(outcome.entry)
            book[posting.reference_id] = outcome.entry
            balance = outcome.entry.balance_after_micros
            if posting.refunds is not None:
                returned.add(posting.refunds)
    return outcomes, entries


def posted(posting: Posting, *, seq: int, balance_after_micros: int) -> Outcome:
    """The outcome of a posting that is booked now."""
    return _POSTED[posting.kind](
        Entry(
            seq=seq,
            kind=posting.kind,
            amount_micros=posting.signed_micros,
            balance_after_micros=balance_after_micros,
            reference_id=posting.reference_id,
            refunds=posting.refunds,
            description=posting.description,
        )
    )


def _decide(
    wallet: Wallet,
    balance: int,
    seq: int,
    book: Mapping[str, Entry],
    returned: set[str],
    posting: Posting,
) -> Outcome:
    if posting.amount.currency != wallet.currency:
        # checked first: an entry has no currency of its own, its wallet has
        return WrongCurrency(wallet.currency)
    before = book.get(posting.reference_id)
    if before is not None:
        return (
            _POSTED[posting.kind](before, replayed=True)
            if _same(before, posting)
            else Conflict(before)
        )
    refusal = _refusal(wallet, balance, book, returned, posting)
    if refusal is not None:
        return refusal
    return posted(posting, seq=seq, balance_after_micros=balance + posting.signed_micros)


def _same(entry: Entry, posting: Posting) -> bool:
    return (entry.kind, entry.amount_micros, entry.refunds) == (
        posting.kind,
        posting.signed_micros,
        posting.refunds,
    )


def _refusal(
    wallet: Wallet, balance: int, book: Mapping[str, Entry], returned: set[str], posting: Posting
) -> Outcome | None:
    if posting.refunds is not None:
        paid = book.get(posting.refunds)
        if paid is None or paid.kind is not EntryKind.DEBIT or posting.refunds in returned:
            return NothingToRefund(posting.refunds)
        if posting.amount.micros > -paid.amount_micros:
            return NothingToRefund(posting.refunds)
    if posting.kind is EntryKind.DEBIT:
        return cannot_pay(wallet, balance, posting.amount.micros)
    if posting.kind in ALREADY_GONE:
        return _too_little(wallet, balance, posting.amount.micros)
    if balance + posting.amount.micros > LARGEST_MICROS:
        return TooLarge(balance)
    return None


def cannot_pay(
    wallet: Wallet, balance: int, micros: int
) -> Suspended | Frozen | InsufficientFunds | None:
    """Why the wallet can neither pay `micros` nor reserve them at that balance; None: it can."""
    if wallet.fenced:
        return Frozen(FENCED)
    if not wallet.gate_open:
        return Suspended()
    if wallet.frozen:
        return Frozen(wallet.freeze_reason or "frozen")
    return _too_little(wallet, balance, micros)


def _too_little(wallet: Wallet, balance: int, micros: int) -> InsufficientFunds | None:
    available = balance - wallet.held_micros
    return InsufficientFunds(available, micros) if micros > available else None
