"""What Twilio's refusals mean for the rest of a campaign: the subject of each code, and when the
campaign stops.
"""

import pytest

from domain.campaigns import delivery_failure
from domain.campaigns.campaign import PASSES_BY_ITSELF, Park
from domain.campaigns.delivery_failure import CODES, SEVERAL, STOPS, STOPS_IN_A_ROW, About
from domain.campaigns.send_refusal import (
    IN_WORDS,
    PARKS,
    Answer,
    Refused,
    Taken,
    judge,
    judge_deliveries,
)

UNHEARD_OF = 29999
SENDER, DESTINATION, RECIPIENT, WAIT = (
    Refused(21606),
    Refused(21408),
    Refused(21211),
    Refused(21611),
)


@pytest.mark.parametrize(
    ("code", "about"),
    [
        (21211, About.RECIPIENT), (21610, About.RECIPIENT), (21614, About.RECIPIENT), (30003, About.RECIPIENT),
        (21606, About.SENDER), (21704, About.SENDER), (21212, About.SENDER), (21659, About.SENDER),
        (21660, About.SENDER), (21661, About.SENDER), (21701, About.SENDER), (30034, About.SENDER),
        (20005, About.ACCOUNT), (10001, About.ACCOUNT), (20404, About.ACCOUNT), (21608, About.ACCOUNT),
        (30037, About.ACCOUNT), (21617, About.CONTENT), (30007, About.CONTENT), (21609, About.REQUEST),
        (20429, About.WAIT), (21611, About.WAIT), (63038, About.WAIT), (14107, About.WAIT), (30001, About.WAIT),
        (21408, About.DESTINATION), (21612, About.DESTINATION), (21703, About.DESTINATION),
        (UNHEARD_OF, About.UNKNOWN), (None, About.UNKNOWN),
    ],
)  # fmt: skip
def test_a_code_is_about(code: int | None, about: About) -> None:
    assert delivery_failure.about(code) is about


MESSAGING = (  # the codes that Twilio's dictionary marks as messaging, 21600 to 21999 and 30001 to 30046
    *range(21601, 21625), 21626, 21627, 21635, *range(21652, 21669), *range(21701, 21706), 21708, 21709, 21711, 21712,
    21713, 21715, 21910, *range(30001, 30047), 30410, 30450, 30453, 30454, 30500, 30610, 30615, 30620, 30630, 30640,
    *(code for code in range(63001, 63044) if code != 63004),
)  # fmt: skip
OF_NUMBERS = {21613, 21615}
"""These are about buying phone numbers, although they are in the same range."""


@pytest.mark.parametrize("code", [code for code in MESSAGING if code not in OF_NUMBERS])
def test_every_code_of_messaging_has_a_class(code: int) -> None:
    assert code in CODES


def test_a_stopped_campaign_is_parked_with_a_described_reason_that_no_event_lifts() -> None:
    assert PARKS.keys() == STOPS | STOPS_IN_A_ROW
    assert set(PARKS.values()) == IN_WORDS.keys()
    assert not IN_WORDS.keys() & PASSES_BY_ITSELF
    of_no_refusal = PASSES_BY_ITSELF | {Park.RECOVERY, Park.SENDER_COSTS_MORE}
    assert set(Park) == IN_WORDS.keys() | of_no_refusal


@pytest.mark.parametrize(
    "code", sorted(code for code, _ in CODES.items() if delivery_failure.about(code) in STOPS)
)
def test_a_refusal_that_would_meet_every_message_stops_the_campaign_without_blaming_a_recipient(
    code: int,
) -> None:
    verdict = judge([Taken(), RECIPIENT, Refused(code), Taken(), Refused(code)])

    assert verdict.stop is not None
    assert (verdict.stop.park, verdict.stop.code) == (PARKS[delivery_failure.about(code)], code)
    assert verdict.blameless == {2, 4}


@pytest.mark.parametrize("answer", [RECIPIENT, WAIT, None])
def test_refusals_of_a_recipient_or_late_failures_stop_nothing(
    answer: Answer,
) -> None:
    assert judge([answer] * 100).stop is None


@pytest.mark.parametrize("code", [21408, 21612, UNHEARD_OF])
@pytest.mark.parametrize(
    ("answers", "stops"),
    [
        ("xxxxx", True),
        ("xxxx", False),
        ("xxxx.x", False),
        (".xxxxx", True),
        ("xxxxx.", False),
        ("xxrxrx-x", True),
    ],
)
def test_refusals_that_may_concern_one_message_stop_the_campaign_when_several_follow(
    code: int, answers: str, stops: bool
) -> None:
    answer_of: dict[str, Answer] = {"x": Refused(code), ".": Taken(), "r": RECIPIENT, "-": None}

    verdict = judge([answer_of[answer] for answer in answers])

    assert (verdict.stop is not None) == stops
    assert verdict.blameless == (
        {n for n, answer in enumerate(answers) if answer == "x"} if stops else frozenset()
    )


def test_several_in_a_row_are_counted_across_windows() -> None:
    first = judge([Taken(), DESTINATION, DESTINATION])
    second = judge([DESTINATION, DESTINATION], in_a_row=first.in_a_row)
    third = judge([DESTINATION], in_a_row=second.in_a_row)

    assert (first.in_a_row, second.in_a_row) == (2, 4)
    assert second.stop is None
    assert third.stop is not None
    assert third.blameless == {0}


def test_a_campaign_of_fewer_than_several_is_stopped_when_all_of_it_is_refused() -> None:
    assert judge([DESTINATION, DESTINATION], several=2).stop is not None
    assert judge([DESTINATION, Taken()], several=2).stop is None


def test_carrier_failures_stop_a_campaign_only_when_several_failed_and_none_arrived_since() -> None:
    failed = [Refused(30034)] * SEVERAL

    assert judge_deliveries(failed) is not None
    assert judge_deliveries([None, Refused(30003), *failed]) is not None
    assert judge_deliveries([Taken(), *failed]) is None
    assert judge_deliveries([*failed[:-1], Taken(), *failed]) is None
    assert judge_deliveries([Refused(30003)] * 100) is None


@pytest.mark.parametrize(
    ("code", "seconds"), [(21611, 60), (63038, 3600), (20429, 1), (None, 1), (UNHEARD_OF, 1)]
)
def test_a_wait_lasts_as_long_as_its_limit(code: int | None, seconds: int) -> None:
    assert delivery_failure.wait(code) == seconds
