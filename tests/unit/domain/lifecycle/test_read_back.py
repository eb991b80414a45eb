"""When a suspended subaccount is read back: within minutes, for an hour."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from domain.lifecycle import read_back

APPLIED = datetime(2026, 1, 15, 12, tzinfo=UTC)


def ages() -> list[float]:
    """The minutes after which it is read back."""
    now: datetime | None = APPLIED + read_back.FIRST_AFTER
    found = []
    while now is not None:
        found.append((now - APPLIED) / timedelta(minutes=1))
        now = read_back.next_at(APPLIED, now)
    return found


def test_it_is_read_back_after_a_minute_and_at_least_every_five_for_an_hour() -> None:
    read = ages()

    assert read[0] == 1
    assert all(later - earlier <= 5 for earlier, later in pairwise(read))
    assert read[-1] >= 60


def test_an_hour_costs_few_calls() -> None:
    assert len(ages()) < 20
