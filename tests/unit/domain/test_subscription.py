"""Which of two tellings is the newer, and which groups of states there are."""

from datetime import datetime, timedelta

import pytest

from domain.subscription import BILLING, LAPSED, PAID, Order, State, order
from tests.builders import NOON

LATER = NOON + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("told", "known", "expected"),
    [
        (LATER, NOON, Order.NEWER),
        (NOON, LATER, Order.OLDER),
        (NOON, NOON, Order.UNCLEAR),
        (None, NOON, Order.UNCLEAR),
        (NOON, None, Order.UNCLEAR),
        (None, None, Order.UNCLEAR),
    ],
)
def test_only_two_different_times_tell_an_order(told: datetime | None, known: datetime | None, expected: Order) -> None:
    assert order(told, known) is expected


def test_no_state_both_bills_and_is_lapsed() -> None:
    assert PAID < BILLING
    assert not BILLING & LAPSED
    assert {State.NONE, State.UNKNOWN, State.PENDING} == set(State) - BILLING - LAPSED
