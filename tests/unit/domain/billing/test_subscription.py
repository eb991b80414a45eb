"""Which of two reports is newer, and the groups of states."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.subscription import (
    BILLING,
    ENDED,
    LAPSED,
    PAID,
    Debt,
    Order,
    Provider,
    Record,
    Snapshot,
    State,
    Subscription,
    Word,
    add_word,
    confirmed,
    debt_after,
    order,
    paid_until_after,
)
from domain.lifecycle.standing import Policy, Status, decide
from tests.builders import NOON, ORGANIZATION, snapshot

LATER = NOON + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("reported", "recorded", "expected"),
    [
        (LATER, NOON, Order.NEWER),
        (NOON, LATER, Order.OLDER),
        (NOON, NOON, Order.UNCLEAR),
        (None, NOON, Order.UNCLEAR),
        (NOON, None, Order.UNCLEAR),
        (None, None, Order.UNCLEAR),
    ],
)
def test_only_two_different_times_tell_an_order(
    reported: datetime | None, recorded: datetime | None, expected: Order
) -> None:
    assert order(reported, recorded) is expected


def test_no_state_both_bills_and_is_lapsed() -> None:
    assert PAID < BILLING
    assert not BILLING & LAPSED
    assert {State.NONE, State.UNKNOWN, State.PENDING} == set(State) - BILLING - LAPSED


DAY = timedelta(days=1)
OWED = Debt(since=NOON)


def after(before: Debt | None, snapshot: Snapshot, word: Word | None = None) -> Debt | None:
    return debt_after(before, snapshot, word=word, now=NOON + 9 * DAY)


@pytest.mark.parametrize("state", [state for state in State if state not in ENDED])
@pytest.mark.parametrize("debt", [OWED, Debt(since=NOON, shut=True)])
def test_a_debt_survives_every_status_and_goes_by_evidence_alone(state: State, debt: Debt) -> None:
    snapshot = Snapshot(state=state, as_of=NOON + DAY)

    assert after(debt, snapshot) == debt
    assert after(debt, replace(snapshot, owes=False)) is None
    assert after(None, replace(snapshot, owes=False)) is None


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_zero_balance_of_an_ended_subscription_needs_a_payment(state: State) -> None:
    snapshot = Snapshot(state=state, as_of=NOON + DAY, owes=False)

    assert after(OWED, snapshot) == OWED
    assert after(OWED, replace(snapshot, paid_at=NOON - DAY)) == OWED
    assert after(OWED, replace(snapshot, paid_at=NOON + DAY)) is None


KNOWN = Subscription(
    organization_id=ORGANIZATION,
    provider=Provider.PAYPAL,
    id="I-1",
    is_current=True,
    snapshot=snapshot(State.ACTIVE, NOON),
    debt=None,
    word=None,
    doubted_at=None,
    confirmed_at=NOON,
    alert=None,
    checkout_url=None,
)


@pytest.mark.parametrize(
    ("paid_until", "paid_at", "back_at", "counts_until"),
    [
        (NOON + 30 * DAY, NOON, None, NOON + 30 * DAY),
        (NOON + 30 * DAY, NOON, NOON, NOON),
        (NOON + 30 * DAY, None, NOON, NOON),
        (NOON + 30 * DAY, NOON + timedelta(hours=1), NOON, NOON),
        (NOON + 30 * DAY, NOON + timedelta(hours=1, seconds=1), NOON, NOON + 30 * DAY),
        (NOON - DAY, NOON - 31 * DAY, NOON, NOON - DAY),
        (None, NOON, NOON, None),
    ],
)
def test_a_period_counts_until_its_payment_was_paid_back_unless_another_one_came_since(
    paid_until: datetime | None,
    paid_at: datetime | None,
    back_at: datetime | None,
    counts_until: datetime | None,
) -> None:
    snapshot = replace(KNOWN.snapshot, paid_until=paid_until, paid_at=paid_at)

    assert replace(KNOWN, snapshot=snapshot, paid_back_at=back_at).record.paid_until == counts_until


def test_a_field_missing_in_an_answer_stays_as_it_was() -> None:
    before = replace(
        KNOWN.snapshot, access_until=NOON + DAY, paid_at=NOON, paid_from=NOON, as_of=NOON
    )
    silent = Snapshot(state=State.ACTIVE, as_of=None)
    newer = Snapshot(
        state=State.ACTIVE, as_of=NOON + DAY, access_until=NOON + 2 * DAY, paid_at=NOON + DAY
    )

    def kept(snapshot: Snapshot) -> tuple[datetime | None, ...]:
        subscription = confirmed(
            replace(KNOWN, snapshot=before), snapshot, word=None, now=NOON + 9 * DAY
        )
        return (
            subscription.snapshot.as_of,
            subscription.snapshot.access_until,
            subscription.snapshot.paid_at,
        )

    assert kept(silent) == (NOON, NOON + DAY, NOON)
    assert kept(newer) == (NOON + DAY, NOON + 2 * DAY, NOON + DAY)


def test_a_debt_begins_with_the_first_reported_failure() -> None:
    new_snapshot = replace(snapshot(State.PAST_DUE, NOON + 5 * DAY), failed_at=NOON + 4 * DAY)
    word = Word(
        state=State.PAST_DUE, as_of=NOON + 3 * DAY, until=NOON + 5 * DAY, since=NOON + 2 * DAY
    )

    assert after(None, new_snapshot) == Debt(since=NOON + 4 * DAY)
    assert after(None, new_snapshot, word) == Debt(since=NOON + 2 * DAY)
    assert after(OWED, new_snapshot, word) == OWED
    assert after(None, replace(new_snapshot, failed_at=NOON + 99 * DAY)) == Debt(
        since=NOON + 9 * DAY
    )


def test_two_events_give_the_earlier_end_and_the_first_failure() -> None:
    first = Word(state=State.PAST_DUE, as_of=NOON, until=NOON + 3 * DAY, since=NOON)
    second = Word(state=State.PAST_DUE, as_of=NOON + DAY, until=NOON + 4 * DAY, since=NOON + DAY)
    suspends = Word(state=State.PAUSED, as_of=None)

    assert add_word(None, first) == first
    assert add_word(first, second) == add_word(second, first) == replace(first, as_of=NOON + DAY)
    assert (
        add_word(first, suspends)
        == add_word(suspends, first)
        == replace(suspends, as_of=NOON, since=NOON)
    )


def test_a_suspension_for_a_debt_lasts_until_the_payment() -> None:
    suspended = after(OWED, snapshot(State.SUSPENDED_NONPAYMENT, NOON + DAY))

    assert suspended == Debt(since=NOON, shut=True)
    assert after(suspended, snapshot(State.PAST_DUE, NOON + 2 * DAY)) == suspended
    assert (
        after(OWED, snapshot(State.PAST_DUE), Word(state=State.SUSPENDED_NONPAYMENT, as_of=NOON))
        == suspended
    )
    assert after(suspended, snapshot(State.ACTIVE, NOON + 3 * DAY)) is None


@pytest.mark.parametrize("state", sorted(State))
def test_a_period_lasts_no_longer_because_the_subscription_is_not_in_order(state: State) -> None:
    before = Snapshot(state=State.ACTIVE, paid_until=NOON + DAY, paid_at=NOON)
    later = Snapshot(state=state, paid_until=NOON + 9 * DAY, paid_at=NOON)

    assert paid_until_after(before, later) == NOON + (9 * DAY if state in PAID else DAY)
    assert paid_until_after(before, replace(later, paid_until=NOON)) == NOON
    assert paid_until_after(before, replace(later, paid_until=None)) == NOON + DAY
    assert paid_until_after(before, replace(later, paid_at=NOON + DAY)) == NOON + 9 * DAY
    assert paid_until_after(replace(before, paid_until=None), later) == NOON + 9 * DAY


@pytest.mark.parametrize("state", sorted(State))
def test_a_payment_lasts_as_long_as_first_reported_no_matter_how_the_plan_changes(
    state: State,
) -> None:
    """A yearly plan that is revised to a monthly one, and vice versa: the computed end is that of
    another plan.
    """
    before = Snapshot(state=State.ACTIVE, paid_until=NOON + 365 * DAY, paid_at=NOON)
    shorter = Snapshot(state=state, paid_until=NOON + 30 * DAY, paid_at=NOON, reckoned=True)
    longer = replace(shorter, paid_until=NOON + 700 * DAY)

    assert paid_until_after(before, shorter) == NOON + 365 * DAY
    assert paid_until_after(before, longer) == NOON + (700 if state in PAID else 365) * DAY
    assert paid_until_after(before, replace(shorter, paid_at=NOON + DAY)) == NOON + 30 * DAY


STEPS = st.lists(
    st.tuples(
        st.sampled_from([state for state in State if state is not State.UNKNOWN]),
        st.integers(1, 48),
    )
)


@given(STEPS, st.booleans())
def test_no_changes_of_status_without_a_payment_give_grace_twice(
    steps: list[tuple[State, int]], dropped: bool
) -> None:
    """A moved charge date does not pay for anything, either; `dropped`: the debt is no longer
    reported.
    """
    policy, now = Policy(grace=3 * DAY), NOON
    before = Snapshot(state=State.ACTIVE, paid_until=NOON, paid_at=NOON - 30 * DAY)
    debt = after(None, snapshot(State.PAST_DUE, NOON))
    assert debt is not None
    served, shut = NOON, False
    for state, hours in steps:
        now += timedelta(hours=hours)
        new_snapshot = replace(
            snapshot(state, now), paid_at=before.paid_at, owes=None if dropped else True
        )
        new_snapshot = replace(
            new_snapshot,
            access_until=now + 30 * DAY,
            paid_until=before.paid_at and before.paid_at + 30 * DAY,
        )
        debt = debt_after(debt, new_snapshot, word=None, now=now)
        before = replace(new_snapshot, paid_until=paid_until_after(before, new_snapshot))
        decision = decide(
            Record(state=state, debt=debt, paid_until=before.paid_until), (), policy, now
        )
        if decision.status is Status.ACTIVE:
            served = now
            assert decision.deadline is not None
            assert decision.deadline <= NOON + policy.grace
        shut |= debt is not None and debt.shut
        assert not (shut and decision.status is Status.ACTIVE)

    assert served < NOON + policy.grace
