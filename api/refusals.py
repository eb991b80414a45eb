"""What a wallet refuses, as problems."""

from collections.abc import Sequence

from api.errors import TABLE, Problem, invalid, not_found
from db.explaining import Reason
from domain.hold import BadExpiry, CaptureTooLarge, HoldClosed, HoldConflict, HoldNotFound
from domain.money import to_decimal_string
from domain.wallet import Conflict, InsufficientFunds, TooLarge, WalletNotFound, WrongCurrency


def refusal(outcome: object, reasons: Sequence[Reason] = ()) -> Problem:
    """The problem for an outcome that booked nothing."""
    kind = TABLE[type(outcome)]
    match outcome:
        case InsufficientFunds(balance_micros=balance, needed_micros=needed):
            return Problem(kind, reasons=reasons, balance=to_decimal_string(balance), needed=to_decimal_string(needed))
        case WalletNotFound():
            return not_found("organization")
        case Conflict(entry=entry):
            told = f"the reference stands for a {entry.kind.value} of {to_decimal_string(abs(entry.amount_micros))}"
            return Problem(kind, told, seq=entry.seq)
        case WrongCurrency(wallet_currency=currency):
            return invalid("currency", f"the wallet is kept in {currency}")
        case TooLarge():
            return invalid("amount", "the balance would be larger than a wallet can hold")
        case HoldNotFound() | HoldConflict() | HoldClosed() | CaptureTooLarge() | BadExpiry():
            return _of_a_hold(outcome)
        case _:
            return Problem(kind, reasons=reasons)


def _of_a_hold(outcome: HoldNotFound | HoldConflict | HoldClosed | CaptureTooLarge | BadExpiry) -> Problem:
    kind = TABLE[type(outcome)]
    match outcome:
        case HoldNotFound():
            return not_found("hold")
        case HoldConflict(hold=hold):
            return Problem(
                kind,
                f"the reference stands for a hold of {to_decimal_string(hold.amount.micros)} until "
                f"{hold.expires_at.isoformat()}, of which {to_decimal_string(hold.captured_micros)} was captured",
            )
        case HoldClosed(hold=hold):
            return Problem(kind, f"the hold is {hold.status.value}")
        case CaptureTooLarge(held_micros=most):
            return invalid("amount", f"the hold is of {to_decimal_string(most)}")
        case BadExpiry():
            return invalid("expires_at", "it lies in the future, and within a year")
