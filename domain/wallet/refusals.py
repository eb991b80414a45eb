"""Explains in words why a posting was not booked: for alerts, parked deliveries and API answers."""

from domain.money import to_decimal_string
from domain.wallet.ledger import (
    Conflict,
    Frozen,
    InsufficientFunds,
    NothingToRefund,
    Outcome,
    Suspended,
    TooLarge,
    WalletNotFound,
    WrongCurrency,
)


def in_words(outcome: Outcome) -> str:
    match outcome:
        case InsufficientFunds(balance_micros=balance, needed_micros=needed):
            return (
                f"the wallet holds {to_decimal_string(balance)}, and {to_decimal_string(needed)} "
                "is needed"
            )
        case Frozen(reason=reason):
            return f"the wallet is frozen: {reason}"
        case Suspended():
            return "the organization is suspended"
        case WalletNotFound():
            return "there is no such wallet"
        case Conflict(entry=entry):
            return (
                f"the reference belongs to a {entry.kind.value} of "
                f"{to_decimal_string(abs(entry.amount_micros))}"
            )
        case WrongCurrency(wallet_currency=currency):
            return f"the wallet's currency is {currency}"
        case NothingToRefund():
            return "there is no debit of at least that amount to refund"
        case TooLarge():
            return "the balance would be larger than a wallet can hold"
        case _:
            return f"booked as entry {outcome.entry.seq}"
