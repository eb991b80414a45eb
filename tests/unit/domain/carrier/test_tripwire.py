"""When a usage trigger fires, and which trigger at Twilio is kept."""

import pytest

from domain.carrier.tripwire import FLOOR_MICROS, Trigger, compare, wanted

URL = "https://tollgate.example/webhooks/twilio/usage"
DOLLAR = 1_000_000


def trigger(sid: str, dollars: int, url: str = URL) -> Trigger:
    return Trigger(sid=sid, value_micros=dollars * DOLLAR, callback_url=url)


@pytest.mark.parametrize(
    ("set_micros", "days", "fired", "value"),
    [
        (None, [], None, FLOOR_MICROS),
        (None, [3 * DOLLAR, 10 * DOLLAR], None, 20 * DOLLAR),
        (5 * DOLLAR, [100 * DOLLAR], None, 5 * DOLLAR),
        (None, [10 * DOLLAR], 25 * DOLLAR, 50 * DOLLAR),
        (5 * DOLLAR, [], 6 * DOLLAR, 12 * DOLLAR),
        (None, [10**18], None, 999_999_999_000_000),
    ],
)
def test_the_value_is_the_operators_or_twice_the_most_expensive_day_and_doubles_when_it_fires(
    set_micros: int | None, days: list[int], fired: int | None, value: int
) -> None:
    assert wanted(set_micros, days, fired) == value


def test_the_trigger_nearest_to_the_value_is_kept_and_others_of_ours_go() -> None:
    near, far, elsewhere = trigger("UT1", 11), trigger("UT2", 12), trigger("UT3", 10, "http://old")

    repair = compare([far, elsewhere, near], 10 * DOLLAR, URL, exact=False)

    assert repair.kept == near
    assert set(repair.extra) == {far, elsewhere}


def test_a_value_that_an_operator_set_is_met_exactly() -> None:
    found = [trigger("UT1", 11)]

    assert compare(found, 10 * DOLLAR, URL, exact=True).kept is None
    assert compare(found, 10 * DOLLAR, URL, exact=False).kept == found[0]
