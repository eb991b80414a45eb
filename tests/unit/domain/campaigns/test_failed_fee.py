"""Twilio's documented list of failures without a fee: one list here, and the simulator bills by its own."""

from domain.campaigns.delivery_failure import CODES, NO_FEE
from domain.carrier.categories import FAILED_FEE
from domain.carrier.policies import DEFAULTS, Action
from simulators.twilio.billing.rates import FREE_FAILURES


def test_the_simulator_and_the_rule_know_the_same_failures_without_a_fee() -> None:
    assert NO_FEE == FREE_FAILURES


def test_each_of_them_is_a_failure_that_is_known() -> None:
    assert CODES.keys() >= NO_FEE


def test_the_company_pays_the_fee_unless_a_policy_says_otherwise() -> None:
    assert [policy.action for policy in DEFAULTS if policy.prefix == FAILED_FEE] == [Action.ABSORB]
