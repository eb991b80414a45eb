"""The clock of the simulator's bill, which the control plane can advance. Days are UTC."""

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache


@dataclass(slots=True)
class Clock:
    """Real time plus `offset` seconds; it never goes back."""

    offset: float = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def today(self) -> date:
        return day_of(self.now())

    def advance_to(self, at: float) -> None:
        ahead = at - self.now()
        if ahead < 0:
            raise ValueError("the clock cannot go back")
        self.offset += ahead


def day_of(at: float) -> date:
    return _day(int(at // 86_400))


@lru_cache(maxsize=1024)
def _day(number: int) -> date:
    return date(1970, 1, 1) + timedelta(days=number)


def midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def next_midnight(at: float) -> float:
    return midnight(day_of(at) + timedelta(days=1))


def a_month_after(day: date, wanted_day: int) -> date:
    """The same day of the next month, or that month's last one."""
    first = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return first.replace(day=min(wanted_day, last.day))
