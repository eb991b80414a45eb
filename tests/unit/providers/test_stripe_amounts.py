"""Stripe's amounts are in a currency's smallest unit, which is a hundredth for most currencies but
not for all.
"""

import pytest

from domain.billing.events import PaymentStatus
from domain.money import BadAmount, Money, parse
from providers.stripe import payments, reading, topups


@pytest.mark.parametrize(
    ("value", "currency", "money"),
    [
        (1250, "usd", Money(12_500_000, "USD")),
        (1, "eur", Money(10_000, "EUR")),
        (1250, "jpy", Money(1_250_000_000, "JPY")),
        (1250, "krw", Money(1_250_000_000, "KRW")),
        (1250, "kwd", Money(1_250_000, "KWD")),
        (1, "tnd", Money(1_000, "TND")),
        (500, "isk", Money(5_000_000, "ISK")),
        (500, "ugx", Money(5_000_000, "UGX")),
        (1045, "huf", Money(10_450_000, "HUF")),
        (1045, "twd", Money(10_450_000, "TWD")),
        (-300, "usd", Money(3_000_000, "USD")),
        (0, "usd", Money(0, "USD")),
    ],
)
def test_an_amount_is_read_by_its_currency(value: int, currency: str, money: Money) -> None:
    assert reading.amount({"amount": value, "currency": currency}, "amount") == money


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
def test_an_invalid_amount_is_read_as_none(parent: dict[str, object]) -> None:
    assert reading.amount(parent, "amount") is None


@pytest.mark.parametrize(
    ("amount", "currency", "minor_units"),
    [
        ("12.50", "USD", 1250),
        ("2500", "JPY", 2500),
        ("1.25", "KWD", 1250),
        ("0.5", "TND", 500),
        ("5", "ISK", 500),
        ("5", "UGX", 500),
        ("10.45", "HUF", 1045),
        ("10.45", "TWD", 1045),
    ],
)
def test_an_amount_is_requested_in_the_minor_unit_of_its_currency(
    amount: str, currency: str, minor_units: int
) -> None:
    assert topups.minor(parse(amount, currency)) == minor_units


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("1.001", "USD"), ("0.5", "JPY"), ("1.255", "KWD"), ("5.5", "ISK"), ("5.01", "UGX")],
)
def test_an_amount_that_stripe_cannot_charge_is_refused_and_never_rounded(
    amount: str, currency: str
) -> None:
    with pytest.raises(BadAmount):
        topups.minor(parse(amount, currency))


@pytest.mark.parametrize(
    ("status", "back", "payment_status"),
    [
        ("succeeded", 0, PaymentStatus.COMPLETED),
        ("succeeded", 100, PaymentStatus.PARTIALLY_REFUNDED),
        ("succeeded", 2500, PaymentStatus.REFUNDED),
        ("processing", 0, PaymentStatus.PENDING),
        ("canceled", 0, PaymentStatus.DECLINED),
        ("something new", 0, PaymentStatus.UNKNOWN),
    ],
)
def test_a_payment_says_whether_its_payer_has_it_back(
    status: str, back: int, payment_status: PaymentStatus
) -> None:
    charge = {"id": "ch_1", "amount_refunded": back, "currency": "usd"}
    intent = {
        "id": "pi_1",
        "status": status,
        "amount": 2500,
        "amount_received": 2500,
        "currency": "usd",
    }

    payment = payments.of_intent({**intent, "latest_charge": charge})

    assert (payment.status, payment.amount) == (payment_status, Money(25_000_000, "USD"))


@pytest.mark.parametrize(
    ("status", "open_", "lost", "withdrawn"),
    [
        ("warning_needs_response", True, False, False),
        ("warning_under_review", True, False, False),
        ("warning_closed", False, False, False),
        ("needs_response", True, False, True),
        ("under_review", True, False, True),
        ("won", False, False, False),
        ("prevented", False, False, False),
        ("lost", False, True, True),
        ("something new", True, False, None),
    ],
)
def test_a_dispute_takes_its_amount_while_it_is_not_won(
    status: str, open_: bool, lost: bool, withdrawn: bool | None
) -> None:
    dispute = payments.dispute(
        {
            "id": "dp_1",
            "status": status,
            "amount": 2500,
            "currency": "usd",
            "payment_intent": "pi_1",
        }
    )

    assert (dispute.open, dispute.lost, dispute.withdrawn) == (open_, lost, withdrawn)
    assert (dispute.amount, dispute.payment_ids) == (Money(25_000_000, "USD"), ("pi_1",))
