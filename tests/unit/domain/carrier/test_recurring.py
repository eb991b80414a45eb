"""What recurs, what it costs a day, and what can be given up of it."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.carrier.recurring import (
    CostKind,
    RecurringCost,
    a_day,
    costing,
    daily_micros,
    recurring,
    recurs,
)
from domain.carrier.release import ReleaseStep, ladder
from tests.builders import usd


def number(
    sid: str, monthly: str, *, answers: bool = False, currency: str = "USD"
) -> RecurringCost:
    return RecurringCost(
        kind=CostKind.NUMBER,
        reference=sid,
        name=sid,
        monthly_micros=usd(monthly).micros,
        currency=currency,
        answers=answers,
    )


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("phonenumbers-local", True),
        ("phonenumbers", True),
        ("shortcodes-customerowned", True),
        ("a2p-10dlc-registrationfees-monthly", True),
        ("a2p-10dlc-registrationfees-brandregistration", False),
        ("a2p-10dlc-registrationfees-campaignvetting", False),
        ("recordingstorage", True),
        ("sms-inbound-longcode", False),
        ("calls-outbound", False),
        ("phonenumbersomething", False),
        ("a-category-that-nobody-knows", False),
    ],
)
def test_what_is_charged_without_being_used_again_recurs(category: str, *, expected: bool) -> None:
    assert recurs(category) is expected


def test_numbers_cost_what_they_are_priced_and_the_rest_what_it_cost_last_month() -> None:
    month = {
        ("phonenumbers-local", "USD"): 9_000_000,
        ("a2p-10dlc-registrationfees-monthly", "USD"): 10_000_000,
        ("sms-inbound-longcode", "USD"): 5_000_000,
        ("recordingstorage", "USD"): 0,
    }

    found = recurring([number("PN1", "1.15")], month)

    assert [(cost.reference, cost.monthly_micros) for cost in found] == [
        ("PN1", 1_150_000),
        ("a2p-10dlc-registrationfees-monthly", 10_000_000),
    ]


def test_a_day_is_a_thirtieth_rounded_up() -> None:
    assert a_day(1_150_000) == 38_334
    assert daily_micros([number("PN1", "1.15"), number("PN2", "1.15")], "USD", {}) == 76_667
    assert daily_micros([], "USD", {}) == 0


def test_another_currency_is_converted_or_nothing_is_said() -> None:
    costs = [number("PN1", "3.00"), number("PN2", "3.00", currency="EUR")]

    assert daily_micros(costs, "USD", {}) is None
    assert daily_micros(costs, "USD", {("EUR", "USD"): Decimal("1.1")}) == 210_000


def test_the_ladder_begins_with_webhooks_and_then_releases_the_dearest_number_first() -> None:
    costs = [number("PN1", "1.15", answers=True), number("PN2", "2.15", answers=True)]
    costs.append(number("PN3", "1.15"))
    month = {("sms-inbound-longcode", "USD"): 6_000_000, ("calls-outbound", "USD"): 9_000_000}

    steps = [(each.step, each.number_sid, each.saves_daily_micros) for each in ladder(costs, month)]

    assert steps == [
        (ReleaseStep.REMOVE_WEBHOOKS, "PN1", 100_000),
        (ReleaseStep.REMOVE_WEBHOOKS, "PN2", 100_000),
        (ReleaseStep.RELEASE_NUMBER, "PN2", 71_667),
        (ReleaseStep.RELEASE_NUMBER, "PN1", 38_334),
        (ReleaseStep.RELEASE_NUMBER, "PN3", 38_334),
    ]


def test_what_a_suspension_costs_is_said_in_words() -> None:
    since = datetime(2026, 11, 3, 23, 59, tzinfo=UTC)

    assert costing(usd("0.12"), since) == "costing us 0.12 USD a day since 2026-11-03"
