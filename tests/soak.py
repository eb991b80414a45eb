"""The share of a long test that runs each time; all of it runs with `make soak`, which may take
long.
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
    """This many each time, and all of them with `make soak`."""
    return [
        *range(number),
        *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(number, soaking)),
    ]


class Examples:
    """The number of Hypothesis' examples, which is fixed when a test's module is imported."""

    soaking = False

    @classmethod
    def of(cls, number: int, *, soaking: int) -> int:
        return soaking if cls.soaking else number


def thinned(*, soaking: bool) -> Callable[[Iterable[T]], Iterator[T]]:
    """Every fifth of all values passed to it; all of them with `make soak`."""
    number = count()

    def some(values: Iterable[T]) -> Iterator[T]:
        return (value for value in values if next(number) % SHARE == 0 or soaking)

    return some
