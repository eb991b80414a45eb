"""How many requests the reading of usage takes among many subaccounts, by the policy itself. Pure.

The subaccounts of the benchmark stand for all: each change that one of them had is met as the policy
would meet it, under the budget's share of requests.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.carrier.usage import CALLS_PER_MINUTE, next_reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Requests a minute, and how long after a change it is read."""

    per_minute: float
    seen_after_p50: timedelta
    seen_after_p99: timedelta


def at(
    accounts: int, changes: Sequence[Sequence[datetime]], began: datetime, ends: datetime
) -> Demand:
    """`changes` of each subaccount, in order."""
    share = accounts / len(changes)
    between = timedelta(minutes=share / CALLS_PER_MINUTE)
    due = [(began, number) for number in range(len(changes))]
    heapq.heapify(due)
    free, calls = began, 0
    met = [0] * len(changes)
    changed: list[datetime] = [began] * len(changes)
    waits: list[timedelta] = []
    while due[0][0] < ends and free < ends:
        wanted, number = heapq.heappop(due)
        now = max(wanted, free)
        first = met[number]
        while met[number] < len(changes[number]) and changes[number][met[number]] <= now:
            waits.append(now - changes[number][met[number]])
            met[number] += 1
        found = met[number] - first
        days = len({each.date() for each in changes[number][first : met[number]]})
        if found:
            changed[number] = now
        calls += 1 + days
        free = now + between * (1 + days)
        following = next_reading(now, changed[number], accounts, suspended=False)
        heapq.heappush(due, (following, number))
    waits.sort()
    return Demand(
        per_minute=calls * share / ((ends - began) / timedelta(minutes=1)),
        seen_after_p50=_at(waits, 0.5),
        seen_after_p99=_at(waits, 0.99),
    )


def _at(waits: Sequence[timedelta], share: float) -> timedelta:
    return waits[min(len(waits) - 1, int(len(waits) * share))] if waits else timedelta(0)
