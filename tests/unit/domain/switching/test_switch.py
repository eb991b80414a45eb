"""Every reason not to offer a checkout, not to stop the source, and whom a cohort holds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.subscription import Snapshot, State
from domain.money import Money
from domain.switching.switch import (
    IN_WORDS,
    LAST_CALL,
    NOTICE,
    Cut,
    Ready,
    SwitchStatus,
    check,
    in_cohort,
    marker,
    recheck,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RENEWAL = NOW + timedelta(days=10)
MARK = marker("1")


def told(
    state: State = State.ACTIVE, access_until: datetime | None = RENEWAL, **more: object
) -> Snapshot:
    return Snapshot(state=state, access_until=access_until, **more)  # type: ignore[arg-type]


def again(source: Snapshot, target: Snapshot, now: datetime = NOW) -> Cut:
    return recheck(source, target, first_charge_at=RENEWAL, mark=MARK, now=now).cut


@pytest.mark.parametrize(
    "state", [one for one in State if one not in (State.ACTIVE, State.TRIALING)]
)
def test_only_a_healthy_subscription_is_moved(state: State) -> None:
    assert check(told(state), NOW).ready is Ready.REFUSED


def test_past_due_is_told_apart() -> None:
    assert check(told(State.PAST_DUE), NOW).reason == "the subscription is past due"


def test_what_is_outstanding_would_never_be_collected_from_a_canceled_subscription() -> None:
    owes, owes_nothing = (
        told(outstanding=Money(49_000_000, "USD")),
        told(outstanding=Money(0, "USD")),
    )

    assert check(owes, NOW).reason == "49.00 USD is outstanding"
    assert again(owes, told(State.TRIALING)) is Cut.UNDO
    assert check(owes_nothing, NOW).ready is Ready.READY
    assert again(owes_nothing, told(State.TRIALING)) is Cut.STOP


@pytest.mark.parametrize(
    ("source", "ready"),
    [
        (told(), Ready.READY),
        (told(State.TRIALING), Ready.READY),
        (told(access_until=None), Ready.REFUSED),
        (told(cancels=True), Ready.REFUSED),
        (told(access_until=NOW + NOTICE), Ready.READY),
        (told(access_until=NOW + NOTICE - timedelta(seconds=1)), Ready.WAIT),
        (told(access_until=NOW - timedelta(days=1)), Ready.WAIT),
    ],
)
def test_the_renewal_has_to_be_known_and_far_enough_away(source: Snapshot, ready: Ready) -> None:
    assert check(source, NOW).ready is ready


@pytest.mark.parametrize(
    ("renewal", "ready"),
    [
        (NOW - timedelta(hours=1), Ready.WAIT),
        (NOW + timedelta(hours=8), Ready.WAIT),
        (NOW + timedelta(hours=23), Ready.REFUSED),
        (NOW + timedelta(hours=47), Ready.REFUSED),
        (NOW + timedelta(days=7), Ready.READY),
    ],
)
def test_a_renewal_is_waited_for_once_and_not_every_day(renewal: datetime, ready: Ready) -> None:
    """The renewal of an hour ago: charged late, moved by some hours, or over."""
    assert (
        check(told(access_until=renewal), NOW, waited_for=NOW - timedelta(hours=1)).ready is ready
    )


def test_who_is_looked_at_again_a_month_later_is_waited_for_again() -> None:
    source = told(access_until=NOW + timedelta(hours=1))

    assert check(source, NOW, waited_for=NOW - timedelta(days=30)).ready is Ready.WAIT


@pytest.mark.parametrize(
    ("source", "target", "cut"),
    [
        (told(), told(State.TRIALING), Cut.STOP),
        (told(), told(), Cut.STOP),
        (told(State.CANCELED), told(State.TRIALING), Cut.LEFT),
        (told(State.EXPIRED), told(State.TRIALING), Cut.LEFT),
        (told(State.CANCELED, note="mig:2"), told(State.TRIALING), Cut.LEFT),
        (told(State.CANCELED, note=MARK), told(State.TRIALING), Cut.STOPPED),
        (told(State.CANCELED, None, note=MARK), told(State.CANCELED), Cut.STOPPED),
        (told(cancels=True), told(State.TRIALING), Cut.LEFT),
        (told(State.PAST_DUE), told(State.TRIALING), Cut.UNDO),
        (told(access_until=RENEWAL + timedelta(days=30)), told(State.TRIALING), Cut.UNDO),
        (told(access_until=None), told(State.TRIALING), Cut.UNDO),
        (told(), told(State.CANCELED), Cut.UNDO),
        (told(), told(State.PENDING), Cut.UNDO),
        (told(), told(State.TRIALING, cancels=True), Cut.UNDO),
        (told(), told(access_until=NOW + timedelta(days=30)), Cut.UNDO),
        (told(), told(access_until=NOW), Cut.UNDO),
        (told(), told(access_until=RENEWAL + timedelta(hours=10)), Cut.STOP),
    ],
)
def test_the_source_is_stopped_only_where_the_target_goes_on_from_there(
    source: Snapshot, target: Snapshot, cut: Cut
) -> None:
    assert again(source, target) is cut


def test_nothing_is_stopped_so_near_to_the_renewal_that_it_may_be_charged_already() -> None:
    target = told(State.TRIALING)

    assert again(told(), target, RENEWAL - LAST_CALL) is Cut.STOP
    assert again(told(), target, RENEWAL - LAST_CALL + timedelta(seconds=1)) is Cut.UNDO
    assert again(told(State.CANCELED, note=MARK), target, RENEWAL) is Cut.STOPPED


@given(st.text(max_size=30), st.floats(0, 100), st.floats(0, 100))
def test_a_larger_cohort_holds_every_smaller_one(
    organization_id: str, one: float, other: float
) -> None:
    smaller, larger = sorted((one, other))

    assert in_cohort(organization_id, larger) or not in_cohort(organization_id, smaller)
    assert in_cohort(organization_id, 100)
    assert not in_cohort(organization_id, 0)


def test_a_cohort_is_about_as_large_as_it_says() -> None:
    held = sum(in_cohort(f"org-{number}", 5) for number in range(10_000))

    assert 400 < held < 600


def test_every_state_has_its_words() -> None:
    assert set(IN_WORDS) == set(SwitchStatus)
