"""The demo's expectations: a failed one ends the story, and reports the difference."""

import io

import pytest
from rich.console import Console

from cli.narration import Differs, Teller, expect, wait_for


def plain() -> tuple[Teller, io.StringIO]:
    stream = io.StringIO()
    return Teller(Console(file=stream, width=120)), stream


def test_a_matching_state_reports_no_difference() -> None:
    expect("the balance", 3, 3)


def test_what_differs_names_both() -> None:
    with pytest.raises(Differs, match="the balance: expected 3, found 4"):
        expect("the balance", 4, 3)


async def test_what_does_not_happen_in_time_differs() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(Differs, match="the campaign is parked: it did not happen within 0 s"):
        await wait_for("the campaign is parked", never, patience=0)


async def test_zero_is_something_found() -> None:
    async def zero() -> int:
        return 0

    assert await wait_for("a count", zero) == 0


async def test_a_step_is_one_line_with_its_time() -> None:
    teller, stream = plain()

    async with teller.step("counting") as line:
        line.says("counted to [3]", "one, two, three")

    first, second = stream.getvalue().splitlines()
    assert first.split(maxsplit=3)[2:] == ["ms", "counted to [3]"]
    assert second.strip() == "one, two, three"


async def test_a_failed_step_is_named_by_what_it_tried() -> None:
    teller, stream = plain()

    with pytest.raises(Differs):
        async with teller.step("counting"):
            raise Differs("two is missing")

    assert "counting" in stream.getvalue()
    assert "✓" not in stream.getvalue()
