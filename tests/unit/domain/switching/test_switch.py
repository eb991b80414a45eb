"""Every reason not to offer a checkout or not to stop the source, and the members of a cohort."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.subscription import Provider, Snapshot, State
from domain.money import Money
from domain.switching.switch import (
    IN_WORDS,
    LAST_CALL,
    NOTICE,
    Cut,
    Ready,
    Start,
    SwitchStatus,
    check,
    in_cohort,
    marker,
    recheck,
    start,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RENEWAL = NOW + timedelta(days=10)
MARK = marker("1")


def snapshot(
    state: State = State.ACTIVE, access_until: datetime | None = RENEWAL, **more: object
) -> Snapshot:
    return Snapshot(state=state, access_until=access_until, **more)  # type: ignore[arg-type]


def again(source: Snapshot, target: Snapshot, now: datetime = NOW) -> Cut:
    return recheck(source, target, first_charge_at=RENEWAL, mark=MARK, now=now).cut


@pytest.mark.parametrize(
    "state", [state for state in State if state not in (State.ACTIVE, State.TRIALING)]
)
def test_only_a_healthy_subscription_is_moved(state: State) -> None:
    assert check(snapshot(state), NOW).ready is Ready.REFUSED


def test_past_due_is_told_apart() -> None:
    assert check(snapshot(State.PAST_DUE), NOW).reason == "the subscription is past due"


def test_an_outstanding_balance_prevents_a_switch() -> None:
    owes, owes_nothing = (
        snapshot(outstanding=Money(49_000_000, "USD")),
        snapshot(outstanding=Money(0, "USD")),
    )

    assert check(owes, NOW).reason == "49.00 USD is outstanding"
    assert again(owes, snapshot(State.TRIALING)) is Cut.UNDO
    assert check(owes_nothing, NOW).ready is Ready.READY
    assert again(owes_nothing, snapshot(State.TRIALING)) is Cut.STOP


@pytest.mark.parametrize(
    ("source", "ready"),
    [
        (snapshot(), Ready.READY),
        (snapshot(State.TRIALING), Ready.READY),
        (snapshot(access_until=None), Ready.REFUSED),
        (snapshot(cancels=True), Ready.REFUSED),
        (snapshot(access_until=NOW + NOTICE), Ready.READY),
        (snapshot(access_until=NOW + NOTICE - timedelta(seconds=1)), Ready.WAIT),
        (snapshot(access_until=NOW - timedelta(days=1)), Ready.WAIT),
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
        check(snapshot(access_until=renewal), NOW, waited_for=NOW - timedelta(hours=1)).ready
        is ready
    )


def test_a_customer_checked_again_a_month_later_is_waited_for_again() -> None:
    source = snapshot(access_until=NOW + timedelta(hours=1))

    assert check(source, NOW, waited_for=NOW - timedelta(days=30)).ready is Ready.WAIT


@pytest.mark.parametrize(
    ("source", "target", "cut"),
    [
        (snapshot(), snapshot(State.TRIALING), Cut.STOP),
        (snapshot(), snapshot(), Cut.STOP),
        (snapshot(State.CANCELED), snapshot(State.TRIALING), Cut.LEFT),
        (snapshot(State.EXPIRED), snapshot(State.TRIALING), Cut.LEFT),
        (snapshot(State.CANCELED, note="mig:2"), snapshot(State.TRIALING), Cut.LEFT),
        (snapshot(State.CANCELED, note=MARK), snapshot(State.TRIALING), Cut.STOPPED),
        (snapshot(State.CANCELED, None, note=MARK), snapshot(State.CANCELED), Cut.STOPPED),
        (snapshot(cancels=True), snapshot(State.TRIALING), Cut.LEFT),
        (snapshot(State.PAST_DUE), snapshot(State.TRIALING), Cut.UNDO),
        (snapshot(access_until=RENEWAL + timedelta(days=30)), snapshot(State.TRIALING), Cut.UNDO),
        (snapshot(access_until=None), snapshot(State.TRIALING), Cut.UNDO),
        (snapshot(), snapshot(State.CANCELED), Cut.UNDO),
        (snapshot(), snapshot(State.PENDING), Cut.UNDO),
        (snapshot(), snapshot(State.TRIALING, cancels=True), Cut.UNDO),
        (snapshot(), snapshot(access_until=NOW + timedelta(days=30)), Cut.UNDO),
        (snapshot(), snapshot(access_until=NOW), Cut.UNDO),
        (snapshot(), snapshot(access_until=RENEWAL + timedelta(hours=10)), Cut.STOP),
    ],
)
def test_the_source_is_stopped_only_where_the_target_goes_on_from_there(
    source: Snapshot, target: Snapshot, cut: Cut
) -> None:
    assert again(source, target) is cut


def test_nothing_is_stopped_so_near_the_renewal_that_it_may_already_be_charged() -> None:
    target = snapshot(State.TRIALING)

    assert again(snapshot(), target, RENEWAL - LAST_CALL) is Cut.STOP
    assert again(snapshot(), target, RENEWAL - LAST_CALL + timedelta(seconds=1)) is Cut.UNDO
    assert again(snapshot(State.CANCELED, note=MARK), target, RENEWAL) is Cut.STOPPED


@given(st.text(max_size=30), st.floats(0, 100), st.floats(0, 100))
def test_a_larger_cohort_holds_every_smaller_one(
    organization_id: str, percent: float, other: float
) -> None:
    smaller, larger = sorted((percent, other))

    assert in_cohort(organization_id, larger) or not in_cohort(organization_id, smaller)
    assert in_cohort(organization_id, 100)
    assert not in_cohort(organization_id, 0)


def test_a_cohort_is_about_as_large_as_it_says() -> None:
    members = sum(in_cohort(f"org-{number}", 5) for number in range(10_000))

    assert 400 < members < 600


def test_every_state_has_a_description() -> None:
    assert set(IN_WORDS) == set(SwitchStatus)


@pytest.mark.parametrize(
    ("source", "under_way", "outcome"),
    [
        (Provider.PAYPAL, None, Start.STARTS),
        (Provider.STRIPE, None, Start.AT_TARGET),
        (Provider.PAYPAL, (Provider.STRIPE, "plan"), Start.OPEN),
        (Provider.PAYPAL, (Provider.STRIPE, "other plan"), Start.ANOTHER_OPEN),
        (Provider.STRIPE, (Provider.PAYPAL, "plan"), Start.ANOTHER_OPEN),
        (Provider.STRIPE, (Provider.STRIPE, "plan"), Start.OPEN),
    ],
)
def test_a_switch_starts_where_none_is_open_and_the_customer_is_elsewhere(
    source: Provider, under_way: tuple[Provider, str] | None, outcome: Start
) -> None:
    assert start(source, (Provider.STRIPE, "plan"), under_way) is outcome
