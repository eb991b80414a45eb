"""Stops calling a server that does not answer, and tries one call at a time until it answers again.

Without it each caller waits for its own time limit, and holds a slot or a request meanwhile.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

FAILURES = 5
"""In a row, before calls are refused."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0
"""Seconds without a call: doubled by each further failure."""


class Paused(httpx.ConnectError):
    """Nothing was sent: the server did not answer the calls before."""


class Breaker:
    """Of one server and one process. Any response counts as an answer, whatever its status."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._paused_until = 0.0
        self._trying = False

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one request. Raises `Paused` instead, if it may not be made now."""
        trying = self._admit()
        try:
            yield
        except httpx.TransportError:
            self._failed(trying=trying)
            raise
        else:
            self._failures = 0
        finally:
            if trying:
                self._trying = False

    def _admit(self) -> bool:
        """Whether this call is the one that tries a server that did not answer."""
        if self._failures < FAILURES:
            return False
        if self._trying or self._clock() < self._paused_until:
            raise Paused("the server did not answer the calls before")
        self._trying = True
        return True

    def _failed(self, *, trying: bool) -> None:
        """Calls that began before the pause and fail during it do not lengthen it."""
        if self._failures >= FAILURES and not trying:
            return
        self._failures += 1
        if (further := self._failures - FAILURES) >= 0:
            pause = min(FIRST_PAUSE * (1 << min(further, 10)), LONGEST_PAUSE)
            self._paused_until = self._clock() + pause
