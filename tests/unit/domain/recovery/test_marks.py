"""A database went back in time if its mark did, or if nobody can tell."""

from dataclasses import replace
from uuid import UUID

import pytest

from domain.recovery.marks import Mark, went_back

KNOWN = Mark(installation=UUID(int=7), number=100, server=1, timeline=3)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (replace(KNOWN, number=99), "its mark is 99, but 100 was reached"),
        (replace(KNOWN, number=200, installation=UUID(int=8)), "it is the database"),
        (replace(KNOWN, number=200, installation=None), "it is the database None"),
        (replace(KNOWN, number=200, server=2), "copied to another server"),
        (replace(KNOWN, number=200, timeline=2), "it is on timeline 2, but 3 was reached"),
        (replace(KNOWN, number=99, timeline=4), "its mark is 99"),
    ],
)
@pytest.mark.parametrize("watched", [True, False])
def test_an_earlier_or_another_state_is_named(found: Mark, reason: str, watched: bool) -> None:
    assert reason in went_back(KNOWN, found, watched=watched)


@pytest.mark.parametrize("number", [100, 101])
@pytest.mark.parametrize("watched", [True, False])
def test_the_same_state_and_a_later_one_are_good(number: int, watched: bool) -> None:
    assert went_back(KNOWN, replace(KNOWN, number=number), watched=watched) == ""


def test_a_promotion_is_good_only_if_the_mark_before_it_was_seen_by_who_compares() -> None:
    promoted = replace(KNOWN, number=101, timeline=4)

    assert went_back(KNOWN, promoted, watched=True) == ""
    assert "timeline 3 to 4" in went_back(KNOWN, promoted, watched=False)


OPENED = replace(KNOWN, number=5_000, accepted=5_000)


@pytest.mark.parametrize(
    "found",
    [OPENED, replace(OPENED, server=2), replace(OPENED, timeline=2), replace(OPENED, timeline=4)],
)
def test_what_was_known_before_an_operator_opened_the_fence_says_nothing(found: Mark) -> None:
    assert went_back(replace(KNOWN, number=4_999), found, watched=False) == ""
    assert went_back(replace(KNOWN, number=5_001), found, watched=True)
    assert went_back(KNOWN, replace(found, installation=UUID(int=8)), watched=True)
