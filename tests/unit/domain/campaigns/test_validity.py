"""How long Twilio may keep a message: the setting, never past quiet hours, within Twilio's limits."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.campaigns import validity

NOW = datetime(2026, 1, 15, 19, tzinfo=UTC)
FOUR_HOURS = timedelta(hours=4)


def test_it_is_the_setting_without_quiet_hours() -> None:
    assert validity.seconds(FOUR_HOURS, None, NOW) == 14_400


def test_it_ends_before_quiet_hours_begin_however_late_twilio_accepts_it() -> None:
    assert validity.seconds(FOUR_HOURS, NOW + timedelta(hours=1), NOW) == 3_595
    assert validity.seconds(FOUR_HOURS, NOW + timedelta(hours=9), NOW) == 14_400


@pytest.mark.parametrize(
    ("longest", "not_after", "seconds"),
    [
        (timedelta(days=2), None, 36_000),
        (timedelta(seconds=0), None, 1),
        (FOUR_HOURS, NOW + timedelta(seconds=3), 1),
        (FOUR_HOURS, NOW - timedelta(hours=1), 1),
    ],
)
def test_it_is_within_what_twilio_takes(
    longest: timedelta, not_after: datetime | None, seconds: int
) -> None:
    assert validity.seconds(longest, not_after, NOW) == seconds
