"""Providers' responses are read leniently: a malformed field counts as missing, and nothing raises."""

from typing import Any

import pytest

from providers import reading


@pytest.mark.parametrize("value", [None, "", 5, ["a"], "a\x00b", "a" * 10_001])
def test_what_is_no_plain_text_is_none(value: Any) -> None:
    assert reading.text({"name": value}, "name") is None


@pytest.mark.parametrize("value", [None, "", 5, "é", "a\nb"])
def test_a_token_unfit_for_a_header_is_refused(value: Any) -> None:
    assert reading.token({"name": value}, "name") is None


def test_a_token_may_be_longer_than_any_text() -> None:
    assert reading.token({"name": "a" * 20_000}, "name") == "a" * 20_000


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        ("7", 7),
        (10**9 - 1, 10**9 - 1),
        (10**9, 0),
        ("9" * 9, 10**9 - 1),
        ("9" * 10, 0),
        (-1, 0),
        (True, 0),
        ("²", 0),
        ("seven", 0),
        (7.0, 0),
        (None, 0),
    ],
)
def test_a_count_is_a_small_whole_number_or_nothing(value: Any, number: int) -> None:
    assert reading.count({"name": value}, "name") == number
