from datetime import UTC, datetime, timedelta

import pytest

from domain.carrier.usage import CALLS_PER_MINUTE, LATEST, SOONEST, next_reading, rest_every

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def wait(unchanged_for: timedelta, accounts: int, *, suspended: bool = False) -> timedelta:
    return next_reading(NOW, NOW - unchanged_for, accounts, suspended=suspended) - NOW


def test_who_spends_is_read_every_ten_minutes() -> None:
    assert wait(timedelta(0), 100_000) == SOONEST


def test_the_longer_nothing_changed_the_later_it_is_read() -> None:
    assert wait(timedelta(hours=3), 100_000) == timedelta(hours=3)


def test_few_subaccounts_are_read_often_even_at_rest() -> None:
    assert wait(timedelta(days=9), 1_000) == SOONEST


def test_a_suspended_subaccount_is_read_daily() -> None:
    assert wait(timedelta(days=9), 100_000, suspended=True) == LATEST
    assert wait(timedelta(days=9), 10, suspended=True) == LATEST


@pytest.mark.parametrize("accounts", [1, 1_000, 10_000, 100_000])
def test_those_at_rest_take_half_of_the_budget_at_most(accounts: int) -> None:
    calls_per_minute = accounts / (rest_every(accounts) / timedelta(minutes=1))

    assert calls_per_minute <= CALLS_PER_MINUTE / 2 + 0.01
