"""`decide`: every state meets every held block and every time, in a table and as properties."""

from datetime import datetime, timedelta
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.standing import IN_WORDS, Block, Decision, Policy, Standing, Status, decide
from domain.subscription import Snapshot, State
from tests.builders import NOON

GRACE = timedelta(days=3)
POLICY = Policy(grace=GRACE)
INSTANT = timedelta(microseconds=1)
BEFORE, AT, AFTER = NOON - INSTANT, NOON, NOON + INSTANT
HELD = [
    frozenset(held)
    for held in chain.from_iterable(
        combinations((Block.DISPUTE, Block.ADMIN, Block.TELEPHONY), size) for size in range(4)
    )
]

SENDS = Decision(status=Status.ACTIVE)
UNTIL_NOON = Decision(status=Status.ACTIVE, deadline=NOON)
UNPAID = Decision(status=Status.SUSPENDED, blocks=frozenset({Block.NONPAYMENT}))
ENDED = Decision(status=Status.SUSPENDED, blocks=frozenset({Block.CANCELED}))

# state, access until, past due since, now, what should hold when no block stands by itself
TABLE = [
    *((state, access, None, now, SENDS)
      for state in (State.NONE, State.UNKNOWN, State.PENDING, State.TRIALING, State.ACTIVE)
      for access in (None, NOON)
      for now in (BEFORE, AT, AFTER)),
    *((state, access, None, now, UNPAID)
      for state in (State.SUSPENDED_NONPAYMENT, State.PAUSED)
      for access in (None, NOON)
      for now in (BEFORE, AT, AFTER)),
    *((State.PAST_DUE, access, NOON - GRACE, now, expected)
      for access in (None, NOON)
      for now, expected in ((BEFORE, UNTIL_NOON), (AT, UNPAID), (AFTER, UNPAID))),
    (State.PAST_DUE, None, None, NOON - GRACE, UNTIL_NOON),
    *((state, NOON, None, now, expected)
      for state in (State.CANCELED, State.EXPIRED)
      for now, expected in ((BEFORE, UNTIL_NOON), (AT, ENDED), (AFTER, ENDED))),
    *((state, None, None, now, ENDED)
      for state in (State.CANCELED, State.EXPIRED)
      for now in (BEFORE, AT, AFTER)),
]  # fmt: skip


def test_the_table_has_every_state() -> None:
    assert {row[0] for row in TABLE} == set(State)


@pytest.mark.parametrize("held", HELD, ids=lambda held: "+".join(sorted(held)) or "no block")
@pytest.mark.parametrize(("state", "access_until", "past_due_since", "now", "expected"), TABLE)
def test_every_state_meets_every_block_and_time(
    state: State,
    access_until: datetime | None,
    past_due_since: datetime | None,
    now: datetime,
    expected: Decision,
    held: frozenset[Block],
) -> None:
    decision = decide(Snapshot(state=state, access_until=access_until), past_due_since, held, POLICY, now)

    if held:
        assert decision == Decision(status=Status.SUSPENDED, blocks=expected.blocks | held)
    else:
        assert decision == expected


def test_without_grace_a_past_due_subscription_is_suspended_at_once() -> None:
    snapshot = Snapshot(state=State.PAST_DUE)

    assert decide(snapshot, NOON, (), Policy(grace=timedelta(0)), NOON) == UNPAID


moments = st.datetimes(min_value=datetime(2025, 1, 1), max_value=datetime(2027, 1, 1)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=NOON.tzinfo)
)
snapshots = st.builds(Snapshot, state=st.sampled_from(State), access_until=st.none() | moments)
blocks = st.frozensets(st.sampled_from([Block.DISPUTE, Block.ADMIN, Block.TELEPHONY]))
policies = st.builds(Policy, grace=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=90)))


@given(snapshots, st.none() | moments, blocks, policies, moments)
def test_a_decision_is_whole(
    snapshot: Snapshot, past_due_since: datetime | None, held: frozenset[Block], policy: Policy, now: datetime
) -> None:
    decision = decide(snapshot, past_due_since, held, policy, now)

    assert (decision.status is Status.SUSPENDED) == bool(decision.blocks)
    assert held <= decision.blocks
    assert decision.blocks - held <= {Block.NONPAYMENT, Block.CANCELED}
    assert decision.deadline is None or (decision.status is Status.ACTIVE and decision.deadline > now)


@given(snapshots, moments, blocks, policies, moments)
def test_the_deadline_is_when_the_same_facts_suspend(
    snapshot: Snapshot, past_due_since: datetime, held: frozenset[Block], policy: Policy, now: datetime
) -> None:
    decision = decide(snapshot, past_due_since, held, policy, now)
    if decision.deadline is None:
        return
    at = decision.deadline

    assert decide(snapshot, past_due_since, held, policy, at - INSTANT).status is Status.ACTIVE
    assert decide(snapshot, past_due_since, held, policy, at).status is Status.SUSPENDED


@given(snapshots, st.none() | moments, blocks, policies, moments)
def test_one_more_block_never_opens(
    snapshot: Snapshot, past_due_since: datetime | None, held: frozenset[Block], policy: Policy, now: datetime
) -> None:
    without = decide(snapshot, past_due_since, (), policy, now)

    assert decide(snapshot, past_due_since, held, policy, now).blocks == without.blocks | held


@given(moments, st.none() | moments, policies, st.sampled_from([State.NONE, State.UNKNOWN]))
def test_absence_of_data_never_suspends(
    now: datetime, past_due_since: datetime | None, policy: Policy, state: State
) -> None:
    assert decide(Snapshot(state=state), past_due_since, (), policy, now) == SENDS


def test_every_block_can_be_told_in_words() -> None:
    assert set(IN_WORDS) == set(Block)


def test_a_standing_is_behind_until_its_epoch_is_applied() -> None:
    assert Standing(organization_id="acme", status=Status.ACTIVE, epoch=2, applied_epoch=1).behind
    assert not Standing(organization_id="acme", status=Status.ACTIVE, epoch=2, applied_epoch=2).behind
