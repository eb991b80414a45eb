"""PayPal's payments and disputes: an unreadable one is queried again, not interpreted as something
else.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.billing.events import MoneyObject, MoneyReference, Payment, PaymentStatus
from domain.money import parse
from providers.errors import ProviderUnavailable
from providers.paypal import payments

AMOUNT = {"value": "5.00", "currency_code": "USD"}
CAPTURE: dict[str, Any] = {"id": "C-1", "status": "COMPLETED", "amount": AMOUNT}
DISPUTE: dict[str, Any] = {"dispute_id": "PP-1", "status": "RESOLVED"}


@pytest.mark.parametrize("missing", ["id", "amount"])
def test_a_payment_without_its_id_or_amount_is_queried_again(missing: str) -> None:
    with pytest.raises(ProviderUnavailable, match="without an id or a readable amount"):
        payments.payment(MoneyObject.CAPTURE, CAPTURE | {missing: None})


def test_a_payment_is_read_in_the_shape_of_the_first_api_too() -> None:
    sale = {
        "id": "S-1",
        "state": "completed",
        "amount": {"total": "5.00", "currency": "USD"},
        "create_time": "2026-11-01T10:00:00Z",
        "billing_agreement_id": "I-1",
        "custom": "org_1",
    }

    assert payments.payment(MoneyObject.SALE, sale) == Payment(
        reference=MoneyReference(kind=MoneyObject.SALE, id="S-1"),
        status=PaymentStatus.COMPLETED,
        amount=parse("5", "USD"),
        occurred_at=datetime(2026, 11, 1, 10, tzinfo=UTC),
        subscription_id="I-1",
        custom_id="org_1",
    )


def test_a_payment_without_a_status_is_not_taken_for_a_completed_one() -> None:
    capture = CAPTURE | {"status": None}

    assert payments.payment(MoneyObject.CAPTURE, capture).status is PaymentStatus.UNKNOWN


@pytest.mark.parametrize("missing", ["dispute_id", "status"])
def test_a_dispute_without_its_id_or_status_is_queried_again(missing: str) -> None:
    with pytest.raises(ProviderUnavailable, match="without an id or a status"):
        payments.dispute(DISPUTE | {missing: None})


@pytest.mark.parametrize("amount", [{"value": "5.00"}, {"currency_code": "USD"}, {}])
def test_half_an_amount_is_none(amount: dict[str, str]) -> None:
    with pytest.raises(ProviderUnavailable):
        payments.payment(MoneyObject.CAPTURE, CAPTURE | {"amount": amount})


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        ({"dispute_outcome": {"amount_refunded": AMOUNT}}, "5"),
        ({"dispute_amount": AMOUNT}, "5"),
        (
            {
                "dispute_outcome": {"amount_refunded": AMOUNT},
                "dispute_amount": AMOUNT | {"value": "9.00"},
            },
            "5",
        ),
    ],
)
def test_a_dispute_is_of_what_was_refunded_or_else_of_what_is_disputed(
    fields: dict[str, Any], amount: str
) -> None:
    assert payments.dispute(DISPUTE | fields).amount == parse(amount, "USD")


@pytest.mark.parametrize(
    ("status", "outcome", "withdrawn"),
    [
        ("RESOLVED", "RESOLVED_BUYER_FAVOUR", True),
        ("RESOLVED", "RESOLVED_SELLER_FAVOUR", False),
        ("RESOLVED", "SOMETHING_NEW", None),
        ("WAITING_FOR_SELLER_RESPONSE", "RESOLVED_BUYER_FAVOUR", None),
        ("WAITING_FOR_SELLER_RESPONSE", "RESOLVED_SELLER_FAVOUR", None),
    ],
)
def test_only_a_closed_dispute_of_a_known_outcome_says_who_has_the_money(
    status: str, outcome: str, withdrawn: bool | None
) -> None:
    dispute = DISPUTE | {"status": status, "dispute_outcome": {"outcome_code": outcome}}

    assert payments.dispute(dispute).withdrawn is withdrawn


@pytest.mark.parametrize(
    ("fields", "payment_id"),
    [
        ({"sale_id": "S-1"}, "S-1"),
        ({"capture_id": "C-1"}, "C-1"),
        ({"links": [{"rel": "up", "href": "https://api.test/v2/payments/captures/C-1"}]}, "C-1"),
        ({"links": [{"rel": "sale", "href": "https://api.test/v1/payments/sale/S-1"}]}, "S-1"),
        ({"links": [{"rel": "up", "href": "https://api.test/v2/payments/captures/"}]}, None),
        ({"links": [{"rel": "up", "href": "https://api.test/v2/payments/other/C-1"}]}, None),
        ({"links": [{"rel": "up", "href": 5}]}, None),
        (
            {
                "sale_id": "S-1",
                "links": [{"rel": "up", "href": "https://api.test/v2/payments/captures/C-1"}],
            },
            "S-1",
        ),
    ],
)
def test_a_refund_names_its_payment_in_a_field_or_a_link(
    fields: dict[str, Any], payment_id: str | None
) -> None:
    assert payments.reversed_by(fields) == payment_id
    refund = payments.payment(MoneyObject.REFUND, CAPTURE | fields)
    assert refund.reference == MoneyReference(kind=MoneyObject.REFUND, id="C-1")
    assert refund.reverses == payment_id
