"""`decide`: every state meets every debt, word, held block and time, in a table and as
properties.
"""

from datetime import datetime, timedelta
from itertools import chain, combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.subscription import ENDED, Debt, Record, State, Word, add_word
from domain.lifecycle.standing import (
    IN_WORDS,
    Block,
    Decision,
    Policy,
    Standing,
    Status,
    decide,
    opens,
)
from tests.builders import NOON

GRACE = timedelta(days=3)
POLICY = Policy(grace=GRACE)
INSTANT = timedelta(microseconds=1)
BEFORE, AT, AFTER = NOON - INSTANT, NOON, NOON + INSTANT
HELD_BLOCKS = [
    frozenset(combination)
    for combination in chain.from_iterable(
        combinations((Block.DISPUTE, Block.ADMIN, Block.TELEPHONY), size) for size in range(4)
    )
]

SENDS = Decision(status=Status.ACTIVE)
UNTIL_NOON = Decision(status=Status.ACTIVE, deadline=NOON)
UNPAID = Decision(status=Status.SUSPENDED, blocks=frozenset({Block.NONPAYMENT}))
ENDED_ = Decision(status=Status.SUSPENDED, blocks=frozenset({Block.CANCELED}))
NEITHER = Decision(status=Status.SUSPENDED, blocks=frozenset({Block.CANCELED, Block.NONPAYMENT}))
IN_GRACE, SHUT = Debt(since=NOON - GRACE), Debt(since=NOON, shut=True)
SERVED = (State.NONE, State.UNKNOWN, State.PENDING, State.TRIALING, State.ACTIVE)
TIMES = (BEFORE, AT, AFTER)

# state, debt, paid until, now, the expected decision without a word and without other blocks
TABLE = [
    *((state, None, paid, now, SENDS) for state in SERVED for paid in (None, NOON) for now in TIMES),
    *((state, debt, paid, now, UNPAID)
      for state in (State.SUSPENDED_NONPAYMENT, State.PAUSED)
      for debt in (None, IN_GRACE, SHUT)
      for paid in (None, NOON)
      for now in TIMES),
    *((state, IN_GRACE, paid, now, expected)
      for state in (*SERVED, State.PAST_DUE)
      for paid in (None, NOON)
      for now, expected in ((BEFORE, UNTIL_NOON), (AT, UNPAID), (AFTER, UNPAID))),
    *((state, SHUT, paid, now, UNPAID)
      for state in (*SERVED, State.PAST_DUE)
      for paid in (None, NOON)
      for now in TIMES),
    (State.PAST_DUE, None, None, NOON - GRACE, UNTIL_NOON),
    *((state, None, NOON, now, expected)
      for state in sorted(ENDED)
      for now, expected in ((BEFORE, UNTIL_NOON), (AT, ENDED_), (AFTER, ENDED_))),
    *((state, None, None, now, ENDED_) for state in sorted(ENDED) for now in TIMES),
    *((state, IN_GRACE, NOON, now, expected)
      for state in sorted(ENDED)
      for now, expected in ((BEFORE, UNTIL_NOON), (AT, NEITHER), (AFTER, NEITHER))),
    *((state, SHUT, NOON, now, expected)
      for state in sorted(ENDED)
      for now, expected in ((BEFORE, UNPAID), (AT, NEITHER), (AFTER, NEITHER))),
    *((state, IN_GRACE, NOON - INSTANT, BEFORE, ENDED_) for state in sorted(ENDED)),
    *((state, IN_GRACE, NOON + GRACE, BEFORE, UNTIL_NOON) for state in sorted(ENDED)),
]  # fmt: skip
CLOSING = (State.PAST_DUE, State.SUSPENDED_NONPAYMENT, State.PAUSED, *sorted(ENDED))
WORDS = [
    None,
    *(Word(state=state, as_of=NOON, until=until) for state in CLOSING for until in (None, NOON)),
]


def test_the_table_has_every_state_with_every_debt() -> None:
    assert {(row[0], row[1]) for row in TABLE} == {
        (state, debt) for state in State for debt in (None, IN_GRACE, SHUT)
    }


@pytest.mark.parametrize(("state", "debt", "paid_until", "now", "expected"), TABLE)
def test_every_state_meets_every_debt_event_block_and_time(
    state: State, debt: Debt | None, paid_until: datetime | None, now: datetime, expected: Decision
) -> None:
    for word, held_blocks in product(WORDS, HELD_BLOCKS):
        decision = decide(
            Record(state=state, debt=debt, paid_until=paid_until, word=word),
            held_blocks,
            POLICY,
            now,
        )

        blocks, deadline = expected.blocks | held_blocks, expected.deadline
        if word is not None and (word.until is None or now >= word.until):
            blocks |= {Block.CANCELED if word.state in ENDED else Block.NONPAYMENT}
        elif word is not None:
            deadline = NOON
        if blocks:
            assert decision == Decision(status=Status.SUSPENDED, blocks=blocks)
        else:
            assert decision == Decision(status=Status.ACTIVE, deadline=deadline)


def test_without_grace_a_past_due_subscription_is_suspended_at_once() -> None:
    record = Record(state=State.PAST_DUE, debt=Debt(since=NOON))

    assert decide(record, (), Policy(grace=timedelta(0)), NOON) == UNPAID


def test_a_failed_payment_known_from_a_webhook_alone_gets_the_current_grace_period() -> None:
    word = Word(state=State.PAST_DUE, as_of=NOON, until=NOON + GRACE, since=NOON)
    record = Record(state=State.ACTIVE, word=word)

    assert decide(record, (), POLICY, NOON).deadline == NOON + GRACE
    assert decide(record, (), Policy(grace=timedelta(0)), NOON) == UNPAID
    assert decide(record, (), Policy(grace=2 * GRACE), NOON).deadline == NOON + 2 * GRACE


moments = st.datetimes(min_value=datetime(2025, 1, 1), max_value=datetime(2027, 1, 1)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=NOON.tzinfo)
)
debts = st.none() | st.builds(Debt, since=moments, shut=st.booleans())
words = st.builds(
    Word, state=st.sampled_from(CLOSING), as_of=st.none() | moments, until=st.none() | moments
)
records = st.builds(
    Record,
    state=st.sampled_from(State),
    debt=debts,
    paid_until=st.none() | moments,
    word=st.none() | words,
)
blocks = st.frozensets(st.sampled_from([Block.DISPUTE, Block.ADMIN, Block.TELEPHONY]))
policies = st.builds(
    Policy, grace=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=90))
)


@given(records, blocks, policies, moments)
def test_a_decision_is_whole(
    record: Record, held_blocks: frozenset[Block], policy: Policy, now: datetime
) -> None:
    decision = decide(record, held_blocks, policy, now)

    assert (decision.status is Status.SUSPENDED) == bool(decision.blocks)
    assert held_blocks <= decision.blocks
    assert decision.blocks - held_blocks <= {Block.NONPAYMENT, Block.CANCELED}
    assert decision.deadline is None or (
        decision.status is Status.ACTIVE and decision.deadline > now
    )


@given(
    records.filter(lambda record: record.state is not State.PAST_DUE or record.debt),
    blocks,
    policies,
    moments,
)
def test_the_deadline_is_when_the_same_facts_suspend(
    record: Record, held_blocks: frozenset[Block], policy: Policy, now: datetime
) -> None:
    decision = decide(record, held_blocks, policy, now)
    if decision.deadline is None:
        return
    at = decision.deadline

    assert decide(record, held_blocks, policy, at - INSTANT).status is Status.ACTIVE
    assert decide(record, held_blocks, policy, at).status is Status.SUSPENDED


@given(records, blocks, policies, moments)
def test_one_more_block_never_opens(
    record: Record, held_blocks: frozenset[Block], policy: Policy, now: datetime
) -> None:
    without = decide(record, (), policy, now)

    assert decide(record, held_blocks, policy, now).blocks == without.blocks | held_blocks


@given(records, words, policies, moments)
def test_one_more_event_never_opens(
    record: Record, word: Word, policy: Policy, now: datetime
) -> None:
    after = Record(
        state=record.state,
        debt=record.debt,
        paid_until=record.paid_until,
        word=add_word(record.word, word),
    )

    assert not opens(record, after, policy, now)
    assert (
        decide(record, (), policy, now).status is Status.ACTIVE
        or decide(after, (), policy, now).blocks
    )


@given(records, policies, moments, st.sampled_from(State))
def test_no_status_gives_time_while_a_debt_was_shut_for(
    record: Record, policy: Policy, now: datetime, state: State
) -> None:
    owing = Record(
        state=state, debt=Debt(since=now, shut=True), paid_until=record.paid_until, word=record.word
    )

    assert Block.NONPAYMENT in decide(owing, (), policy, now).blocks


@given(moments, policies, st.sampled_from([State.NONE, State.UNKNOWN]))
def test_absence_of_data_never_suspends(now: datetime, policy: Policy, state: State) -> None:
    assert decide(Record(state=state), (), policy, now) == SENDS


ACTIVE_ = Record(state=State.ACTIVE, debt=None, paid_until=None, word=None)
OWES = Record(state=State.PAST_DUE, debt=IN_GRACE, paid_until=None, word=None)
OWES_LONGER = Record(
    state=State.PAST_DUE, debt=Debt(since=NOON - GRACE + INSTANT), paid_until=None, word=None
)
STOPPED = Record(state=State.ACTIVE, debt=SHUT, paid_until=None, word=None)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (STOPPED, ACTIVE_, True),
        (STOPPED, OWES, True),
        (STOPPED, STOPPED, False),
        (ACTIVE_, STOPPED, False),
        (OWES, STOPPED, False),
        (ACTIVE_, ACTIVE_, False),
        (ACTIVE_, OWES, False),
        (OWES, ACTIVE_, True),
        (OWES, OWES, False),
        (OWES, OWES_LONGER, True),
        (OWES_LONGER, OWES, False),
    ],
)
def test_what_ends_a_suspension_or_puts_off_its_time_opens(
    before: Record, after: Record, expected: bool
) -> None:
    assert opens(before, after, POLICY, BEFORE) is expected


def test_every_block_is_described_in_words() -> None:
    assert set(IN_WORDS) == set(Block)


def test_a_standing_is_behind_until_its_epoch_is_applied() -> None:
    assert Standing(organization_id="acme", status=Status.ACTIVE, epoch=2, applied_epoch=1).behind
    assert not Standing(
        organization_id="acme", status=Status.ACTIVE, epoch=2, applied_epoch=2
    ).behind
