"""The result of a benchmark: a figure, or the reason why there is none."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import quantiles


class BenchFailed(Exception):
    """A guarantee was broken or a part did not answer: there is no figure to report."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The rate per second, and the time that one took."""

    per_second: float
    p50_ms: float
    p99_ms: float


async def from_callers(
    callers: int, seconds: float, act: Callable[[int, int], Awaitable[object]]
) -> Measured:
    """Let callers act repeatedly for `seconds`, each as soon as its last call was answered; `act`
    gets the caller and a number.
    """
    took: list[float] = []
    began = time.perf_counter()
    ends = began + seconds

    async def caller(which: int) -> None:
        number = 0
        while (at := time.perf_counter()) < ends:
            await act(which, number)
            took.append(time.perf_counter() - at)
            number += 1

    await asyncio.gather(*(caller(which) for which in range(callers)))
    spent = time.perf_counter() - began
    return Measured(len(took) / spent, percentile(took, 50) * 1000, percentile(took, 99) * 1000)


def percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
