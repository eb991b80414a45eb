"""How much of a long test runs each time, and how much with `make soak` alone, which may take as
long as it needs.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TypeVar

import pytest

T = TypeVar("T")
SHARE = 5
MARKER = "soak"

also_soaking = pytest.mark.parametrize(
    "soaking", [False, pytest.param(True, marks=pytest.mark.soak)]
)
"""Runs the test twice: `soaking` is False each time, and True with `make soak`."""


def seeds(number: int, *, soaking: int) -> list[object]:
    """So many each time, and the others when soaking."""
    return [
        *range(number),
        *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(number, soaking)),
    ]


class Examples:
    """How many Hypothesis makes, which is settled when a test's module is imported."""

    soaking = False

    @classmethod
    def of(cls, number: int, *, soaking: int) -> int:
        return soaking if cls.soaking else number


def thinned(*, soaking: bool) -> Callable[[Iterable[T]], Iterator[T]]:
    """One of each five of all the values that are passed through it, in turn; all of them when
    soaking.
    """
    number = count()

    def some(values: Iterable[T]) -> Iterator[T]:
        return (value for value in values if next(number) % SHARE == 0 or soaking)

    return some
