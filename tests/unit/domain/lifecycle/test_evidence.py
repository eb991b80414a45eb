"""Whether a provider's answer counts, where the providers differ."""

from datetime import timedelta

import pytest

from domain.billing.subscription import Debt, Provider, State, Subscription, Word
from domain.lifecycle import evidence
from domain.lifecycle.standing import Policy
from tests.builders import NOON, snapshot

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(("provider", "shut"), [(Provider.STRIPE, True), (Provider.PAYPAL, False)])
def test_a_suspension_for_a_debt_that_only_a_webhook_told_outlives_it_where_it_cannot_be_forged(
    provider: Provider, *, shut: bool
) -> None:
    known = Subscription(
        organization_id="acme",
        provider=provider,
        id="sub_1",
        is_current=True,
        snapshot=snapshot(State.ACTIVE, NOON),
        debt=None,
        word=Word(state=State.SUSPENDED_NONPAYMENT, as_of=NOON + 9 * MINUTE),
        doubted_at=NOON + 10 * MINUTE,
        confirmed_at=NOON,
        alert=None,
        checkout_url=None,
    )
    owing = snapshot(State.PAST_DUE, NOON + MINUTE)

    believed = evidence.believe(known, owing, Policy(), NOON + 12 * MINUTE)

    assert believed is not None
    assert believed.debt == Debt(since=NOON + MINUTE, shut=shut)
    assert believed.word is None
