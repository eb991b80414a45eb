"""What a webhook's own word does, and whether a provider's answer counts, where the providers
differ.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from domain.billing.events import BillingEvent, EventKind
from domain.billing.subscription import Debt, Provider, State, Subscription, Word
from domain.lifecycle import evidence
from domain.lifecycle.evidence import Heard
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
    ("told", "subject", "sure", "heard", "noted"),
    [
        (SUSPENDED, KNOWN, False, Heard.SHUT, True),
        (
            SUSPENDED,
            ANOTHER,
            False,
            Heard.OTHER,
            True,
        ),  # it may not take over before its provider was asked
        (SUSPENDED, None, False, Heard.OTHER, False),
        (event(State.SUSPENDED_NONPAYMENT, subscription_id=None), None, False, Heard.NOTED, False),
        (OF_THE_SAME_SECOND, KNOWN, False, Heard.UNCLEAR, False),
        (OF_THE_SAME_SECOND, KNOWN, True, Heard.SHUT, True),
        (OF_THE_SAME_SECOND, ANOTHER, False, Heard.OTHER, True),
        (OLD, KNOWN, True, Heard.OLD, False),
        (OLD, ANOTHER, True, Heard.OTHER, False),
        (ACTIVE, KNOWN, True, Heard.NOTED, False),  # a word opens nothing
        (ACTIVE, ANOTHER, True, Heard.OTHER, False),
        (WITHOUT_A_STATE, KNOWN, False, Heard.UNCLEAR, False),
        (WITHOUT_A_STATE, KNOWN, True, Heard.NOTED, False),
        (WITHOUT_A_STATE, ANOTHER, False, Heard.OTHER, False),
        (event(None, kind=EventKind.RESUMED), KNOWN, False, Heard.NOTED, False),
    ],
)
def test_a_word_shuts_only_the_current_subscription_and_only_if_its_time_is_clear(
    provider: Provider,
    told: BillingEvent,
    subject: Subscription | None,
    *,
    sure: bool,
    heard: Heard,
    noted: bool,
) -> None:
    known = None if subject is None else replace(subject, provider=provider)

    does, word = evidence.effect(
        replace(told, provider=provider), known, Policy(), NOON + 2 * MINUTE, sure=sure
    )

    assert does is heard
    assert (word is not None) is noted


@pytest.mark.parametrize(
    ("answered", "at", "knows"),
    [
        (State.ACTIVE, NOON + 2 * MINUTE, True),  # newer
        (State.ACTIVE, NOON + MINUTE, False),
        (State.SUSPENDED_NONPAYMENT, NOON + MINUTE, True),  # it says the same
        (State.SUSPENDED_NONPAYMENT, NOON, False),  # the same, of another time
        (State.ACTIVE, NOON, False),
    ],
)
def test_an_answer_knows_of_an_event_that_it_repeats_or_outdates(
    answered: State, at: datetime, *, knows: bool
) -> None:
    answer = replace(snapshot(answered, NOON), as_of=at)

    assert evidence.knows(answer, SUSPENDED.snapshot, NOON + 2 * MINUTE) is knows


def test_an_answer_long_after_an_event_knows_of_it_and_an_event_of_a_time_to_come_proves_nothing() -> (
    None
):
    answer = snapshot(State.ACTIVE, NOON)

    assert evidence.knows(answer, SUSPENDED.snapshot, NOON + MINUTE + evidence.READS_LAG)
    assert evidence.knows(
        answer, snapshot(State.SUSPENDED_NONPAYMENT, NOON + 10 * MINUTE), NOON + 2 * MINUTE
    )


@pytest.mark.parametrize(("provider", "shut"), [(Provider.STRIPE, True), (Provider.PAYPAL, False)])
def test_a_suspension_for_a_debt_that_only_a_webhook_told_outlives_it_where_it_cannot_be_forged(
    provider: Provider, *, shut: bool
) -> None:
    word = Word(state=State.SUSPENDED_NONPAYMENT, as_of=NOON + 9 * MINUTE)
    known = replace(KNOWN, provider=provider, word=word, doubted_at=NOON + 10 * MINUTE)
    owing = snapshot(State.PAST_DUE, NOON + MINUTE)

    believed = evidence.believe(known, owing, Policy(), NOON + 12 * MINUTE)

    assert believed is not None
    assert believed.debt == Debt(since=NOON + MINUTE, shut=shut)
    assert believed.word is None
