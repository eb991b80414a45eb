"""Quiet hours: by the clocks of the recipient's country, across midnight, in each of its zones."""

from datetime import UTC, datetime, time, timedelta

import pytest

from api.campaigns.numbers import COUNTRIES
from domain.campaigns.quiet_hours import LAST_CALL, NO_COUNTRY, QuietHours, zones

NIGHT = QuietHours(time(21), time(8))


@pytest.mark.parametrize(
    ("country", "at", "quiet"),
    [
        ("DE", "2026-01-15T19:59", False),
        ("DE", "2026-01-15T20:00", True),  # 21:00 in Berlin
        ("DE", "2026-01-15T06:59", True),
        ("DE", "2026-01-15T07:00", False),
        ("DE", "2026-07-15T19:00", True),  # summer time
        ("DE", "2026-07-15T06:00", False),
        ("US", "2026-01-15T13:00", True),  # 08:00 in New York, 03:00 in Honolulu
        ("US", "2026-01-15T18:30", False),  # 13:30 in New York, 08:30 in Honolulu and Adak
        ("US", "2026-01-16T02:00", True),  # 21:00 in New York
        ("IN", "2026-01-15T02:29", True),
        ("IN", "2026-01-15T02:30", False),  # a zone with a half-hour offset
        ("XK", "2026-01-15T02:00", True),  # 03:00 in Pristina
        ("XK", "2026-01-15T12:00", False),
        ("XX", "2026-01-15T12:00", True),  # the local time is unknown
        (NO_COUNTRY, "2026-01-15T12:00", True),
    ],
)
def test_a_country_is_quiet_while_any_of_its_clocks_says_so(
    country: str, at: str, quiet: bool
) -> None:
    assert NIGHT.quiet_in(country, datetime.fromisoformat(at).replace(tzinfo=UTC)) is quiet


def test_hours_within_one_day() -> None:
    noon = QuietHours(time(12), time(14))

    assert [
        noon.quiet_in("GB", datetime(2026, 1, 15, hour, tzinfo=UTC)) for hour in (11, 12, 13, 14)
    ] == [
        False,
        True,
        True,
        False,
    ]


def test_it_ends_when_the_first_country_s_night_ends() -> None:
    now = datetime(2026, 1, 15, 1, tzinfo=UTC)

    assert NIGHT.until(["DE", "US"], now) == datetime(2026, 1, 15, 7, tzinfo=UTC)
    assert NIGHT.until(["US"], now) == datetime(2026, 1, 15, 18, tzinfo=UTC)
    assert NIGHT.until([], now) is None


@pytest.mark.parametrize("hours", [(time(8), time(8)), (time(19), time(8)), (time(8), time(20, 1))])
def test_none_and_more_than_half_a_day_are_refused(hours: tuple[time, time]) -> None:
    with pytest.raises(ValueError, match="up to 12 hours"):
        QuietHours(*hours)


@pytest.mark.parametrize("longest", [QuietHours(time(20), time(8)), QuietHours(time(0), time(12))])
def test_no_country_is_always_quiet_but_antarctica_which_has_no_numbers(
    longest: QuietHours,
) -> None:
    now = datetime(2026, 1, 15, 12, tzinfo=UTC)

    assert [country for country in zones() if longest.until([country], now) is None] == ["AQ"]


def test_every_country_with_phone_numbers_has_a_time_zone() -> None:
    assert zones().keys() >= COUNTRIES


def test_a_number_without_a_country_is_quiet_at_any_hour() -> None:
    assert all(
        NO_COUNTRY in NIGHT.quiet_countries(datetime(2026, 1, 15, hour, tzinfo=UTC))
        for hour in range(24)
    )


@pytest.mark.parametrize(
    ("country", "at", "begins"),
    [
        ("DE", "2026-01-15T12:00", "2026-01-15T20:00"),
        ("DE", "2026-01-15T20:00", "2026-01-16T20:00"),
        ("DE", "2026-07-15T12:00", "2026-07-15T19:00"),  # summer time
        ("US", "2026-01-15T18:30", "2026-01-16T02:00"),  # 21:00 in New York, the first of its zones
    ],
)
def test_they_begin_in_a_country_when_they_begin_in_the_first_of_its_zones(
    country: str, at: str, begins: str
) -> None:
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)

    assert NIGHT.begin_in(country, now) == datetime.fromisoformat(begins).replace(tzinfo=UTC)


def test_they_begin_at_once_where_the_local_time_is_unknown() -> None:
    now = datetime(2026, 1, 15, 12, tzinfo=UTC)

    assert NIGHT.begin_in(None, now) == NIGHT.begin_in("XX", now) == now


def test_a_country_is_left_alone_shortly_before_they_begin() -> None:
    begins = datetime(2026, 1, 15, 20, tzinfo=UTC)

    assert "DE" in NIGHT.quiet_countries(begins - LAST_CALL)
    assert "DE" not in NIGHT.quiet_countries(begins - LAST_CALL - timedelta(seconds=1))
