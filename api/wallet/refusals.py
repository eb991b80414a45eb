"""The refusals of a wallet, as problems."""

from collections.abc import Sequence

from api.http.error_handlers import TABLE
from api.http.errors import Kind, Problem, invalid, may_not_send, not_found
from domain.audit.can_send import Reason
from domain.money import to_decimal_string
from domain.wallet import refusals
from domain.wallet.holds import BadExpiry, CaptureTooLarge, HoldClosed, HoldConflict, HoldNotFound
from domain.wallet.ledger import (
    Conflict,
    InsufficientFunds,
    TooLarge,
    WalletNotFound,
    WrongCurrency,
)


def refusal(outcome: object, reasons: Sequence[Reason] = (), *, by_key: bool = False) -> Problem:
    """The problem for an outcome that booked nothing. `by_key`: the reference is the request's
    Idempotency-Key.
    """
    kind = TABLE[type(outcome)]
    if by_key and kind is Kind.REFERENCE_REUSED:
        kind = Kind.IDEMPOTENCY_KEY_REUSED
    match outcome:
        case InsufficientFunds(balance_micros=balance, needed_micros=needed):
            return may_not_send(
                kind,
                reasons,
                balance=to_decimal_string(balance),
                needed=to_decimal_string(needed),
            )
        case WalletNotFound():
            return not_found("organization")
        case Conflict(entry=entry):
            return Problem(kind, refusals.in_words(outcome), seq=entry.seq)
        case WrongCurrency():
            return invalid("currency", refusals.in_words(outcome), "wrong_currency")
        case TooLarge():
            return invalid("amount", refusals.in_words(outcome), "balance_too_large")
        case HoldNotFound() | HoldConflict() | HoldClosed() | CaptureTooLarge() | BadExpiry():
            return _of_a_hold(kind, outcome)
        case _:
            return may_not_send(kind, reasons)


def _of_a_hold(
    kind: Kind,
    outcome: HoldNotFound | HoldConflict | HoldClosed | CaptureTooLarge | BadExpiry,
) -> Problem:
    match outcome:
        case HoldNotFound():
            return not_found("hold")
        case HoldConflict(hold=hold):
            return Problem(
                kind,
                f"the reference belongs to a hold of {to_decimal_string(hold.amount.micros)} until "
                f"{hold.expires_at.isoformat()}, of which "
                f"{to_decimal_string(hold.captured_micros)} was captured",
            )
        case HoldClosed(hold=hold):
            return Problem(kind, f"the hold is {hold.status.value}")
        case CaptureTooLarge(held_micros=most):
            return invalid("amount", f"the hold has {to_decimal_string(most)}", "exceeds_hold")
        case BadExpiry():
            return invalid("expires_at", "must be in the future, within a year", "out_of_range")
