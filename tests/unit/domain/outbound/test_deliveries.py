"""When an event is attempted again, and when its endpoint is given up."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.outbound.deliveries import (
    FAILING_ATTEMPTS,
    FAILING_FOR,
    RETRIES,
    UNWELL,
    Disabled,
    Health,
    Next,
    after_failure,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def fail(
    health: Health | None = None,
    *,
    attempts: int = 1,
    status: int | None = 500,
    retry_after: float | None = None,
    now: datetime = NOW,
    jitter: float = 0.0,
) -> Next:
    return after_failure(
        health or Health(),
        attempts=attempts,
        status=status,
        retry_after=retry_after,
        now=now,
        jitter=jitter,
    )


def test_an_event_is_tried_ten_times_in_three_days() -> None:
    waits = []
    for attempts in range(1, 10):
        due_at = fail(attempts=attempts).due_at
        assert due_at is not None
        waits.append(due_at - NOW)

    assert waits == list(RETRIES)
    assert timedelta(days=3) < sum(waits, timedelta()) < timedelta(days=3, hours=4)
    assert fail(attempts=10).due_at is None


@pytest.mark.parametrize("attempts", range(1, 10))
def test_jitter_delays_by_a_tenth_at_most(attempts: int) -> None:
    soonest, latest = fail(attempts=attempts).due_at, fail(attempts=attempts, jitter=1.0).due_at

    assert soonest is not None
    assert latest is not None
    assert latest - NOW == (soonest - NOW) * 1.1


def test_one_failing_event_leaves_the_endpoint_to_others() -> None:
    """Its own retries count once: the next organization's event is attempted at once."""
    health = Health()
    for attempts in range(1, 10):
        following = fail(health, attempts=attempts)
        health = following.health
        assert following.retry_at is None

    assert not health.unwell
    assert health.failures == 9


def test_an_endpoint_at_which_several_organizations_fail_is_tried_less_and_less() -> None:
    health = Health()
    pauses = []
    for _ in range(12):
        following = fail(health)
        health = following.health
        pauses.append(following.retry_at - NOW if following.retry_at else timedelta())

    assert pauses[: UNWELL - 1] == [timedelta()] * (UNWELL - 1)
    assert pauses[UNWELL - 1] == timedelta(seconds=5)
    assert pauses[UNWELL] == timedelta(seconds=10)
    assert pauses[-1] == timedelta(minutes=5)


def test_the_time_that_the_endpoint_names_counts_for_all() -> None:
    assert fail(status=429, retry_after=90).retry_at == NOW + timedelta(seconds=90)


def test_410_disables_at_once() -> None:
    assert fail(status=410).disabled is Disabled.GONE


def test_five_days_of_failures_disable() -> None:
    almost = Health(failures=20, first_failed_at=NOW - FAILING_FOR + timedelta(seconds=1))
    long = Health(failures=20, first_failed_at=NOW - FAILING_FOR)

    assert fail(almost).disabled is None
    assert fail(long).disabled is Disabled.FAILING


def test_a_clock_that_jumps_five_days_does_not_disable() -> None:
    health = Health(failures=FAILING_ATTEMPTS - 2, first_failed_at=NOW - timedelta(seconds=20))

    assert fail(health, now=NOW + timedelta(days=5)).disabled is None
