from decimal import Decimal

from domain.carrier.policies import Action, Policy, choose, due

ONE = Decimal(1)


def a_policy(prefix: str = "", action: Action = Action.CHARGE, **values: object) -> Policy:
    return Policy(prefix=prefix, action=action, **values)  # type: ignore[arg-type]


def test_a_category_nobody_has_named_is_charged_at_cost() -> None:
    chosen = choose("holograms", (), ())

    assert (chosen.policy.action, chosen.policy.factor, chosen.known) == (Action.CHARGE, ONE, False)


def test_every_class_of_category_has_a_default() -> None:
    for category in ("sms-inbound-longcode", "phonenumbers-local", "calls-outbound", "verify-sms"):
        assert choose(category, (), ()).known


def test_the_fee_for_a_failed_message_is_absorbed_unless_a_policy_says_otherwise() -> None:
    fee = "failed-message-processing-fee"

    assert choose(fee, (), ()).policy.action is Action.ABSORB
    assert choose(fee, (), [a_policy(fee)]).policy.action is Action.CHARGE


def test_an_organizations_policy_goes_before_everybodys() -> None:
    chosen = choose(
        "calls-inbound-local",
        [a_policy("", Action.ABSORB)],
        [a_policy("calls-inbound", Action.FORBID)],
    )

    assert chosen.policy.action is Action.ABSORB
    assert chosen.known


def test_the_longest_prefix_counts_and_ends_at_a_hyphen() -> None:
    policies = [
        a_policy("sms", Action.ABSORB), a_policy("sms-in", Action.FORBID), a_policy("sms-inbound")
    ]  # fmt: skip

    assert choose("sms-inbound-longcode", policies, ()).policy.prefix == "sms-inbound"


def test_a_markup_is_rounded_up_to_the_micro() -> None:
    assert due(7_901, ONE, a_policy(factor=Decimal("1.2")), ONE).micros == 9_482


def test_a_price_for_each_unit_below_cost_leaves_the_rest_to_the_company() -> None:
    charged = due(50_000, Decimal(4), a_policy(unit_price_micros=10_000), ONE)

    assert (charged.micros, charged.absorbed_micros) == (40_000, 10_000)


def test_another_currency_is_charged_at_the_rate() -> None:
    charged = due(1_000_000, ONE, a_policy(), Decimal("0.92"))

    assert (charged.micros, charged.absorbed_micros) == (920_000, 0)


def test_a_credit_of_twilio_is_the_companys() -> None:
    assert due(-500, ONE, a_policy(), ONE).micros == 0
