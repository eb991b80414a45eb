"""Stripe's amounts are in a currency's smallest unit, which is a hundredth of most and not of all."""

import pytest

from domain.money import Money
from providers.stripe import reading


@pytest.mark.parametrize(
    ("value", "currency", "told"),
    [
        (1250, "usd", Money(12_500_000, "USD")),
        (1, "eur", Money(10_000, "EUR")),
        (1250, "jpy", Money(1_250_000_000, "JPY")),
        (1250, "krw", Money(1_250_000_000, "KRW")),
        (1250, "kwd", Money(1_250_000, "KWD")),
        (1, "tnd", Money(1_000, "TND")),
        (-300, "usd", Money(3_000_000, "USD")),
        (0, "usd", Money(0, "USD")),
    ],
)
def test_an_amount_is_read_by_its_currency(value: int, currency: str, told: Money) -> None:
    assert reading.amount({"amount": value, "currency": currency}, "amount") == told


@pytest.mark.parametrize(
    "parent",
    [
        {"amount": 12.5, "currency": "usd"},
        {"amount": True, "currency": "usd"},
        {"amount": "1250", "currency": "usd"},
        {"amount": 1250},
        {"amount": 1250, "currency": "dollars"},
        {"amount": 10**18, "currency": "jpy"},
        {"currency": "usd"},
    ],
)
def test_what_is_no_amount_is_none(parent: dict[str, object]) -> None:
    assert reading.amount(parent, "amount") is None
