"""The description of a refused posting contains no Python names."""

import re
from typing import get_args

import pytest

from db.billing import payments
from db.billing.payments import BookedFor, OfSubscription, PaidBack, TopUpOutcome
from domain.wallet.entries import Entry, EntryKind
from domain.wallet.ledger import (
    Charged,
    Conflict,
    Credited,
    Debited,
    Frozen,
    InsufficientFunds,
    NothingToRefund,
    Outcome,
    Refunded,
    Suspended,
    TakenBack,
    TooLarge,
    WalletNotFound,
    WrongCurrency,
)
from domain.wallet.refusals import in_words

ENTRY = Entry(
    seq=7,
    kind=EntryKind.CREDIT,
    amount_micros=2_500_000,
    balance_after_micros=2_500_000,
    reference_id="r",
)
WORDS: list[tuple[Outcome, str]] = [
    (InsufficientFunds(1_000_000, 2_000_000), "the wallet holds 1.00, and 2.00 is needed"),
    (Frozen("an operator froze it"), "the wallet is frozen: an operator froze it"),
    (Suspended(), "the organization is suspended"),
    (WalletNotFound("acme"), "there is no such wallet"),
    (Conflict(ENTRY), "the reference belongs to a credit of 2.50"),
    (WrongCurrency("USD"), "the wallet's currency is USD"),
    (NothingToRefund("r"), "there is no debit of at least that amount to refund"),
    (TooLarge(0), "the balance would be larger than a wallet can hold"),
    (Credited(ENTRY), "booked as entry 7"),
    (Debited(ENTRY), "booked as entry 7"),
    (Refunded(ENTRY), "booked as entry 7"),
    (TakenBack(ENTRY), "booked as entry 7"),
    (Charged(ENTRY), "booked as entry 7"),
]


@pytest.mark.parametrize(("outcome", "words"), WORDS, ids=lambda case: type(case).__name__)
def test_an_outcome_is_described_in_words(outcome: Outcome, words: str) -> None:
    assert in_words(outcome) == words


def test_every_outcome_has_a_description() -> None:
    assert {type(outcome) for outcome, _ in WORDS} == set(get_args(Outcome))


@pytest.mark.parametrize(
    "outcome", [WrongCurrency("USD"), BookedFor("other"), PaidBack(), OfSubscription("I-1")]
)
def test_a_top_up_that_is_not_booked_is_described_in_words(outcome: TopUpOutcome) -> None:
    words = payments.in_words(outcome)

    assert not re.search(r"[(_=]|[a-z][A-Z]", words)
