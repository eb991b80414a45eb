"""Limits how often something may be done in one process: a burst, then a rate per second."""

import time
from collections.abc import Callable


class Budget:
    """A token bucket."""

    def __init__(
        self, *, at_once: int, each_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = float(at_once)
        self._each_second = each_second
        self._clock = clock
        self._left = self._most
        self._at = clock()

    def take(self) -> bool:
        """Whether it may be done now; counts it if so."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._each_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
