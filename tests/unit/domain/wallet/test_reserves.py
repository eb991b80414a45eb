"""A reserve takes what it wants of what is available, and lets go of what it no longer wants."""

import pytest

from domain.wallet.reserves import Reserve


@pytest.mark.parametrize(
    ("wanted", "held", "available", "filled"),
    [
        (10, 0, 20, 10),
        (10, 0, 4, 4),
        (10, 4, 3, 7),
        (10, 4, 0, 4),
        (3, 10, 0, 3),
        (0, 10, 5, 0),
        (10, 4, -2, 4),
    ],
)
def test_what_it_holds_follows_from_what_is_wanted_and_available(
    wanted: int, held: int, available: int, filled: int
) -> None:
    assert Reserve(wanted_micros=wanted, held_micros=held).filled(available) == filled


def test_it_is_short_of_what_it_wants_and_does_not_hold() -> None:
    assert Reserve(wanted_micros=10, held_micros=4).short_micros == 6
