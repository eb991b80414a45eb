from hypothesis import given
from hypothesis import strategies as st

from domain.carrier.categories import TOTAL, parts

MICROS = st.integers(min_value=0, max_value=10**9)
NAMES = st.sampled_from(
    [
        "sms", "sms-outbound", "sms-outbound-longcode", "sms-inbound", "sms-inbound-longcode",
        "sms-messages-carrierfees", "mms", "mms-outbound", "calls", "calls-inbound",
        "calls-recordings", "a2p-registration-fees", "a2p-10dlc-registrationfees-monthly",
        "phonenumbers", "phonenumbers-local", "holograms", "holograms-large",
    ]
)  # fmt: skip


def test_what_a_sum_contains_is_counted_once() -> None:
    found = parts(
        {
            TOTAL: 3_000,
            "sms": 3_000,
            "sms-outbound": 2_000,
            "sms-outbound-longcode": 2_000,
            "sms-inbound": 1_000,
            "sms-inbound-longcode": 1_000,
        }
    )

    assert found.own == {"sms-outbound-longcode": 2_000, "sms-inbound-longcode": 1_000}
    assert found.unexplained == 0


def test_what_no_part_of_a_sum_explains_is_the_sums_own() -> None:
    found = parts({TOTAL: 900, "phonenumbers": 900, "phonenumbers-local": 600})

    assert found.own == {"phonenumbers": 300, "phonenumbers-local": 600}


def test_a_fee_stands_beside_the_sum_whose_name_it_begins_with() -> None:
    found = parts({TOTAL: 7, "sms": 5, "sms-outbound": 5, "sms-messages-carrierfees": 2})

    assert found.own == {"sms-outbound": 5, "sms-messages-carrierfees": 2}
    assert found.unexplained == 0


def test_a_sum_that_is_smaller_than_its_parts_costs_nothing_by_itself() -> None:
    found = parts({TOTAL: 4, "calls": 3, "calls-inbound": 3, "calls-recordings": 1})

    assert found.own == {"calls-inbound": 3, "calls-recordings": 1}


def test_what_the_total_has_and_no_category_is_unexplained() -> None:
    assert parts({TOTAL: 10, "sms-inbound-longcode": 4}).unexplained == 6


def test_categories_that_exceed_the_total_are_cut_and_named() -> None:
    found = parts({TOTAL: 5, "holograms-large": 5, "messages": 5})

    assert found.own == {"holograms-large": 5}
    assert found.overlapping == ("messages",)


def test_registration_fees_are_parts_of_a_sum_with_another_name() -> None:
    found = parts(
        {TOTAL: 10, "a2p-registration-fees": 10, "a2p-10dlc-registrationfees-monthly": 10}
    )

    assert found.own == {"a2p-10dlc-registrationfees-monthly": 10}


def test_a_credit_of_twilio_is_a_part_too() -> None:
    found = parts({TOTAL: 3, "sms-inbound-longcode": 5, "credit": -2})

    assert found.own == {"sms-inbound-longcode": 5, "credit": -2}
    assert found.unexplained == 0


@given(st.dictionaries(NAMES, MICROS), MICROS)
def test_parts_never_exceed_the_total_and_add_up_to_it(prices: dict[str, int], total: int) -> None:
    found = parts({TOTAL: total, **prices})

    assert sum(found.own.values()) + found.unexplained == total
    assert found.unexplained >= 0
    assert all(micros <= prices[name] for name, micros in found.own.items())
