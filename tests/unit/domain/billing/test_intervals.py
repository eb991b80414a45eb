"""A paid period ends by the calendar: months are not thirty days."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.billing import intervals


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("begin", "unit", "count", "end"),
    [
        ("2026-11-29T10:00:00", "DAY", 1, "2026-11-30T10:00:00"),
        ("2026-11-29T10:00:00", "WEEK", 2, "2026-12-13T10:00:00"),
        ("2026-11-29T10:00:00", "MONTH", 1, "2026-12-29T10:00:00"),
        ("2026-12-31T23:59:59", "MONTH", 1, "2027-01-31T23:59:59"),
        ("2027-01-31T10:00:00", "MONTH", 1, "2027-02-28T10:00:00"),
        ("2028-01-31T10:00:00", "MONTH", 1, "2028-02-29T10:00:00"),
        ("2027-03-31T10:00:00", "MONTH", 3, "2027-06-30T10:00:00"),
        ("2026-11-30T10:00:00", "MONTH", 14, "2028-01-30T10:00:00"),
        ("2028-02-29T10:00:00", "YEAR", 1, "2029-02-28T10:00:00"),
        ("2028-02-29T10:00:00", "year", 4, "2032-02-29T10:00:00"),
    ],
)
def test_an_interval_ends_by_the_calendar(begin: str, unit: str, count: int, end: str) -> None:
    assert intervals.after(at(begin), unit, count) == at(end)


@pytest.mark.parametrize(
    ("unit", "count"), [("FORTNIGHT", 1), ("", 1), ("YEAR", 9000), ("DAY", 10**12)]
)
def test_what_the_calendar_does_not_know_ends_nowhere(unit: str, count: int) -> None:
    assert intervals.after(at("2026-11-29T10:00:00"), unit, count) is None


def test_every_day_of_a_leap_year_and_of_another_has_a_day_a_month_later() -> None:
    begin = at("2027-01-01T12:00:00")
    for day in range(2 * 366):
        start = begin + timedelta(days=day)
        end = intervals.after(start, "MONTH", 1)
        assert end is not None
        assert timedelta(days=28) <= end - start <= timedelta(days=31)
