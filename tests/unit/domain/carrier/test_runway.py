"""How long a parent account's balance lasts at the speed of the last week."""

from datetime import UTC, date, datetime, timedelta

import pytest

from domain.carrier import runway
from domain.carrier.runway import Funds
from domain.money import Money

WEEK = timedelta(days=7)


def funds(balance: str, spent: int) -> Funds:
    return Funds(
        account_sid="AC1",
        balance=Money(int(float(balance) * 1_000_000), "USD"),
        spent_micros=spent * 1_000_000,
        over=WEEK,
    )


@pytest.mark.parametrize(
    ("balance", "spent", "lasts"),
    [
        ("70", 70, WEEK),
        ("10", 70, timedelta(days=1)),
        ("0", 70, timedelta(0)),
        ("-5", 0, timedelta(0)),
        ("100", 0, None),
    ],
)
def test_it_lasts_as_long_as_the_speed_of_the_last_week_lets_it(
    balance: str, spent: int, lasts: timedelta | None
) -> None:
    assert funds(balance, spent).lasts == lasts


def test_what_lasts_longer_than_a_date_can_say_is_no_limit() -> None:
    assert (
        Funds(account_sid="AC1", balance=Money(10**17, "USD"), spent_micros=1, over=WEEK).lasts
        is None
    )


def test_the_window_is_six_days_and_the_present_one_by_twilios_clock() -> None:
    first, over = runway.window(datetime(2026, 3, 1, 6, tzinfo=UTC))

    assert (first, over) == (date(2026, 2, 23), timedelta(days=6, hours=6))
