"""Which events may report moved money, and what a refund or a dispute reverses."""

from dataclasses import replace

import pytest

from domain.billing.events import (
    Dispute,
    EventKind,
    MoneyObject,
    MoneyReference,
    Payment,
    PaymentStatus,
    Reversal,
    brings_money,
    disputed,
    refunded,
)
from tests.builders import usd

CAPTURE = MoneyReference(kind=MoneyObject.CAPTURE, id="C-1")
REFUND = Payment(
    reference=MoneyReference(kind=MoneyObject.REFUND, id="R-1"),
    status=PaymentStatus.COMPLETED,
    amount=usd("5"),
    reverses="C-1",
)
DISPUTE = Dispute(
    id="D-1", open=False, lost=True, payment_ids=("C-1",), amount=usd("5"), withdrawn=True
)


@pytest.mark.parametrize(
    ("kind", "money", "brings"),
    [
        (EventKind.PAYMENT_SUCCEEDED, CAPTURE, True),
        (EventKind.REFUNDED, CAPTURE, True),
        (EventKind.PAYMENT_FAILED, CAPTURE, False),
        (EventKind.PAYMENT_PENDING, CAPTURE, False),
        (EventKind.PAYMENT_SUCCEEDED, None, False),
        (EventKind.CHECKOUT_COMPLETED, replace(CAPTURE, kind=MoneyObject.CHECKOUT), False),
    ],
)
def test_what_names_an_object_and_is_not_pending_or_refused_may_bring_money(
    kind: EventKind, money: MoneyReference | None, brings: bool
) -> None:
    assert brings_money(kind, money) is brings


@pytest.mark.parametrize("by_bank", [False, True])
def test_a_completed_refund_stands_and_a_declined_one_does_not(by_bank: bool) -> None:
    taken = Reversal(
        id="R-1",
        what="reversal" if by_bank else "refund",
        payment_id="C-1",
        amount=usd("5"),
        stands=True,
    )
    declined = replace(REFUND, status=PaymentStatus.DECLINED)

    assert refunded(REFUND, by_bank=by_bank) == taken
    assert refunded(declined, by_bank=by_bank) == replace(taken, stands=False)


@pytest.mark.parametrize(
    "payment",
    [
        replace(REFUND, status=PaymentStatus.PENDING),
        replace(REFUND, status=PaymentStatus.UNKNOWN),
        replace(REFUND, reverses=None),
    ],
)
def test_a_refund_that_is_not_decided_or_of_no_named_payment_takes_nothing(
    payment: Payment,
) -> None:
    assert refunded(payment) is None


@pytest.mark.parametrize("withdrawn", [True, False])
def test_a_dispute_takes_its_amount_while_it_is_withdrawn(withdrawn: bool) -> None:
    assert disputed(replace(DISPUTE, withdrawn=withdrawn)) == Reversal(
        id="D-1", what="dispute", payment_id="C-1", amount=usd("5"), stands=withdrawn
    )


@pytest.mark.parametrize(
    "dispute",
    [
        replace(DISPUTE, withdrawn=None),
        replace(DISPUTE, amount=None),
        replace(DISPUTE, payment_ids=()),
        replace(DISPUTE, payment_ids=("C-1", "C-2")),
    ],
)
def test_a_dispute_that_does_not_say_what_it_takes_of_which_payment_takes_nothing(
    dispute: Dispute,
) -> None:
    assert disputed(dispute) is None
