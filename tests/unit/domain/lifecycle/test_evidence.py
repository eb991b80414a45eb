"""The effect of a webhook's word, and whether a provider's answer counts, if they contradict each
other.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from domain.billing.events import BillingEvent, EventKind
from domain.billing.subscription import (
    Debt,
    Order,
    Provider,
    Snapshot,
    State,
    Subscription,
    Word,
)
from domain.lifecycle import evidence
from domain.lifecycle.evidence import EventEffect
from domain.lifecycle.standing import Policy
from tests.builders import NOON, SUBSCRIPTION, event, snapshot

MINUTE = timedelta(minutes=1)
KNOWN = Subscription(
    organization_id="acme",
    provider=Provider.PAYPAL,
    id=SUBSCRIPTION,
    is_current=True,
    snapshot=snapshot(State.ACTIVE, NOON),
    debt=None,
    word=None,
    doubted_at=None,
    confirmed_at=NOON,
    alert=None,
    checkout_url=None,
)
ANOTHER = replace(KNOWN, is_current=False)
SUSPENDED = event(State.SUSPENDED_NONPAYMENT, NOON + MINUTE)
OF_THE_SAME_SECOND = event(State.SUSPENDED_NONPAYMENT, NOON)
OLD = event(State.SUSPENDED_NONPAYMENT, NOON - MINUTE)
ACTIVE = event(State.ACTIVE, NOON + MINUTE)
WITHOUT_A_STATE = event(None)


@pytest.mark.parametrize("provider", Provider)
@pytest.mark.parametrize(
    ("billing_event", "subject", "sure", "effect", "noted"),
    [
        (SUSPENDED, KNOWN, False, EventEffect.SHUT, True),
        (
            SUSPENDED,
            ANOTHER,
            False,
            EventEffect.OTHER,
            True,
        ),  # it may not become current before its provider was queried
        (SUSPENDED, None, False, EventEffect.OTHER, False),
        (
            event(State.SUSPENDED_NONPAYMENT, subscription_id=None),
            None,
            False,
            EventEffect.NOTED,
            False,
        ),
        (OF_THE_SAME_SECOND, KNOWN, False, EventEffect.UNCLEAR, False),
        # the last payment may have arrived at the same moment
        (event(State.CANCELED, NOON + MINUTE), KNOWN, False, EventEffect.UNCLEAR, False),
        (event(State.CANCELED, NOON + MINUTE), KNOWN, True, EventEffect.SHUT, True),
        (OF_THE_SAME_SECOND, KNOWN, True, EventEffect.SHUT, True),
        (OF_THE_SAME_SECOND, ANOTHER, False, EventEffect.OTHER, True),
        (OLD, KNOWN, True, EventEffect.OLD, False),
        (OLD, ANOTHER, True, EventEffect.OTHER, False),
        (ACTIVE, KNOWN, True, EventEffect.NOTED, False),  # a word opens nothing
        (ACTIVE, ANOTHER, True, EventEffect.OTHER, False),
        (WITHOUT_A_STATE, KNOWN, False, EventEffect.UNCLEAR, False),
        (WITHOUT_A_STATE, KNOWN, True, EventEffect.NOTED, False),
        (WITHOUT_A_STATE, ANOTHER, False, EventEffect.OTHER, False),
        (event(None, kind=EventKind.RESUMED), KNOWN, False, EventEffect.NOTED, False),
    ],
)
def test_an_event_shuts_only_the_current_subscription_and_only_if_its_time_is_clear(
    provider: Provider,
    billing_event: BillingEvent,
    subject: Subscription | None,
    *,
    sure: bool,
    effect: EventEffect,
    noted: bool,
) -> None:
    subscription = None if subject is None else replace(subject, provider=provider)

    does, word = evidence.effect(
        replace(billing_event, provider=provider),
        subscription,
        Policy(),
        NOON + 2 * MINUTE,
        sure=sure,
    )

    assert does is effect
    assert (word is not None) is noted


@pytest.mark.parametrize(
    ("answered", "at", "knows"),
    [
        (State.ACTIVE, NOON + 2 * MINUTE, True),  # newer
        (State.ACTIVE, NOON + MINUTE, False),
        (State.SUSPENDED_NONPAYMENT, NOON + MINUTE, True),  # it reports the same
        (State.SUSPENDED_NONPAYMENT, NOON, False),  # the same, with another time
        (State.ACTIVE, NOON, False),
    ],
)
def test_an_answer_knows_of_an_event_that_it_repeats_or_outdates(
    answered: State, at: datetime, *, knows: bool
) -> None:
    answer = replace(snapshot(answered, NOON), as_of=at)

    assert evidence.knows(answer, SUSPENDED.snapshot, NOON + 2 * MINUTE) is knows


def test_an_answer_long_after_an_event_includes_it_and_an_event_dated_ahead_proves_nothing() -> (
    None
):
    answer = snapshot(State.ACTIVE, NOON)

    assert evidence.knows(answer, SUSPENDED.snapshot, NOON + MINUTE + evidence.READS_LAG)
    assert evidence.knows(
        answer, snapshot(State.SUSPENDED_NONPAYMENT, NOON + 10 * MINUTE), NOON + 2 * MINUTE
    )


@pytest.mark.parametrize(("provider", "shut"), [(Provider.STRIPE, True), (Provider.PAYPAL, False)])
def test_a_suspension_for_a_debt_outlasts_its_webhook_where_webhooks_cannot_be_forged(
    provider: Provider, *, shut: bool
) -> None:
    word = Word(state=State.SUSPENDED_NONPAYMENT, as_of=NOON + 9 * MINUTE)
    subscription = replace(KNOWN, provider=provider, word=word, doubted_at=NOON + 10 * MINUTE)
    owing = snapshot(State.PAST_DUE, NOON + MINUTE)

    believed = evidence.believe(subscription, owing, Policy(), NOON + 12 * MINUTE)

    assert believed is not None
    assert believed.debt == Debt(since=NOON + MINUTE, shut=shut)
    assert believed.word is None


INSTANT = timedelta(microseconds=1)
UNPAID, CANCELED = State.SUSPENDED_NONPAYMENT, State.CANCELED
NEVER_CONFIRMED = replace(KNOWN, snapshot=snapshot(State.ACTIVE, None), confirmed_at=None)
UNDATED = replace(KNOWN, snapshot=snapshot(State.ACTIVE, None))
LONG_BEFORE = NOON - evidence.READS_LAG - evidence.CLOCKS_APART


@pytest.mark.parametrize(
    ("at", "subscription", "expected"),
    [
        (NOON + evidence.CLOCKS_APART, KNOWN, Order.NEWER),
        (NOON + evidence.CLOCKS_APART + INSTANT, KNOWN, Order.UNCLEAR),
        (NOON - INSTANT, KNOWN, Order.OLDER),
        (LONG_BEFORE, UNDATED, Order.UNCLEAR),
        (LONG_BEFORE - INSTANT, UNDATED, Order.OLDER),
        (LONG_BEFORE - INSTANT, NEVER_CONFIRMED, Order.UNCLEAR),
        (None, KNOWN, Order.UNCLEAR),
    ],
)
def test_an_event_is_ordered_by_its_time_unless_that_is_ahead_or_long_before_an_answer(
    at: datetime | None, subscription: Subscription, expected: Order
) -> None:
    assert evidence.event_order(snapshot(UNPAID, at), subscription, NOON) is expected


def test_a_repeated_state_is_evidence_only_if_it_is_newer() -> None:
    shut = replace(KNOWN, snapshot=snapshot(UNPAID, NOON))
    newer = snapshot(UNPAID, NOON + INSTANT)

    assert evidence.word_of(shut, snapshot(UNPAID, NOON), Policy(), NOON) is None
    assert evidence.word_of(shut, newer, Policy(), NOON) == Word(state=UNPAID, as_of=newer.as_of)


@pytest.mark.parametrize(
    ("at", "since"), [(NOON - MINUTE, NOON - MINUTE), (NOON + MINUTE, NOON), (None, NOON)]
)
def test_a_failed_payment_sets_a_deadline_from_its_time_or_now(
    at: datetime | None, since: datetime
) -> None:
    word = evidence.word_of(KNOWN, snapshot(State.PAST_DUE, at), Policy(), NOON)

    assert word == Word(state=State.PAST_DUE, as_of=at, until=since + Policy().grace, since=since)


@pytest.mark.parametrize(
    "subscription",
    [
        replace(KNOWN, debt=Debt(since=NOON)),
        replace(KNOWN, snapshot=snapshot(State.PENDING, NOON)),
        replace(KNOWN, snapshot=snapshot(CANCELED, NOON)),
    ],
)
def test_a_failed_payment_is_no_evidence_where_a_debt_is_known_or_nothing_was_paid(
    subscription: Subscription,
) -> None:
    new_snapshot = snapshot(State.PAST_DUE, NOON + MINUTE)

    assert evidence.word_of(subscription, new_snapshot, Policy(), NOON + MINUTE) is None


@pytest.mark.parametrize(
    ("subscription", "word", "may_be"),
    [
        (KNOWN, Word(state=CANCELED, as_of=NOON), True),
        (KNOWN, Word(state=CANCELED, as_of=NOON, until=NOON), True),
        (KNOWN, Word(state=CANCELED, as_of=NOON, until=NOON + INSTANT), False),
        (KNOWN, Word(state=UNPAID, as_of=NOON), False),
        (replace(KNOWN, debt=Debt(since=NOON)), Word(state=CANCELED, as_of=NOON), False),
        (
            replace(KNOWN, snapshot=snapshot(State.PAUSED, NOON)),
            Word(state=CANCELED, as_of=NOON),
            False,
        ),
    ],
)
def test_only_an_end_at_once_of_what_is_served_and_owes_nothing_may_be_paid_for(
    subscription: Subscription, word: Word, *, may_be: bool
) -> None:
    assert evidence.may_be_paid_for(subscription, word, Policy(), NOON) is may_be


SHUT = replace(KNOWN, word=Word(state=UNPAID, as_of=NOON + 10 * MINUTE))
ENDED_BY_WORD = replace(KNOWN, word=Word(state=CANCELED, as_of=NOON + 10 * MINUTE))
LATER = NOON + 60 * MINUTE
PAID_FOR = replace(snapshot(CANCELED, NOON + MINUTE), paid_until=LATER + MINUTE, paid_at=NOON)


@pytest.mark.parametrize(
    ("subscription", "new_snapshot", "needed"),
    [
        (SHUT, snapshot(UNPAID, NOON + MINUTE), None),  # it opens nothing
        (KNOWN, snapshot(UNPAID, NOON + MINUTE), None),  # it closes
        (
            SHUT,
            snapshot(State.ACTIVE, NOON + 11 * MINUTE),
            None,
        ),  # it is newer than the event that shut the gate
        (SHUT, snapshot(State.ACTIVE, NOON + MINUTE), evidence.READS_LAG),
        (SHUT, snapshot(State.ACTIVE, None), evidence.READS_LAG),
        (SHUT, snapshot(State.ACTIVE, NOON + 10 * MINUTE), evidence.SAME_SECOND),
        (KNOWN, snapshot(UNPAID, NOON - MINUTE), evidence.READS_LAG),  # older than an answer
        (ENDED_BY_WORD, PAID_FOR, None),  # only the provider knows the date of this end
        (ENDED_BY_WORD, snapshot(State.ACTIVE, NOON + MINUTE), evidence.READS_LAG),
        (SHUT, replace(PAID_FOR, owes=False), evidence.READS_LAG),
    ],
)
def test_an_opening_answer_that_is_not_newer_is_believed_when_it_is_repeated_later(
    subscription: Subscription, new_snapshot: Snapshot, needed: timedelta | None
) -> None:
    def believed(doubted_at: datetime | None) -> bool:
        doubted = replace(subscription, doubted_at=doubted_at)
        return evidence.believe(doubted, new_snapshot, Policy(), LATER) is not None

    if needed is None:
        assert believed(None)
    else:
        doubts = (None, LATER - needed + INSTANT, LATER - needed)
        assert [believed(doubt) for doubt in doubts] == [False, False, True]


def test_a_forgeable_event_counts_where_a_newer_answer_leaves_the_debt() -> None:
    owing = snapshot(State.PAST_DUE, NOON + 11 * MINUTE)

    believed = evidence.believe(SHUT, owing, Policy(), LATER)

    assert believed is not None
    assert believed.debt is not None
    assert believed.debt.shut


def test_an_older_answer_that_changes_nothing_confirms_what_is_known() -> None:
    older = snapshot(State.ACTIVE, NOON - MINUTE)

    assert evidence.believe(KNOWN, older, Policy(), LATER) == replace(KNOWN, confirmed_at=LATER)
