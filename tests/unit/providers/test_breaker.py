"""After failures in a row nothing is sent for a while; then one call tries whether there is an
answer.
"""

import httpx
import pytest

from providers.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Breaker, Paused


class Server:
    """Its clock is moved by the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answers = False
        self.calls = 0
        self.breaker = Breaker(lambda: self.now)

    def call(self) -> None:
        with self.breaker.call():
            self.calls += 1
            if not self.answers:
                raise httpx.ReadTimeout("no answer")

    def fail(self, times: int) -> None:
        for _ in range(times):
            with pytest.raises(httpx.ReadTimeout):
                self.call()


def test_after_failures_in_a_row_nothing_is_sent() -> None:
    server = Server()
    server.fail(FAILURES)

    with pytest.raises(Paused):
        server.call()

    assert server.calls == FAILURES


def test_an_answer_in_between_starts_the_count_again() -> None:
    server = Server()
    server.fail(FAILURES - 1)
    server.answers = True
    server.call()
    server.answers = False

    server.fail(FAILURES - 1)

    assert server.calls == 2 * FAILURES - 1


def test_after_the_pause_one_call_at_a_time_tries_it() -> None:
    server = Server()
    server.fail(FAILURES)
    server.now += FIRST_PAUSE

    with server.breaker.call(), pytest.raises(Paused):
        server.call()

    server.answers = True
    server.call()
    assert server.calls == FAILURES + 1


def test_a_canceled_try_lets_the_next_call_try() -> None:
    server = Server()
    server.fail(FAILURES)
    server.now += FIRST_PAUSE
    with pytest.raises(KeyboardInterrupt), server.breaker.call():
        raise KeyboardInterrupt

    server.fail(1)

    assert server.calls == FAILURES + 1


def test_the_pause_doubles_with_each_try_and_has_a_limit() -> None:
    server = Server()
    server.fail(FAILURES)
    pauses = []
    for _ in range(10):
        began = server.now
        while True:
            try:
                server.call()
            except Paused:
                server.now += 0.5
            except httpx.ReadTimeout:
                break
        pauses.append(server.now - began)

    assert pauses[:4] == [FIRST_PAUSE * 2**n for n in range(4)]
    assert pauses[-1] == LONGEST_PAUSE


def test_calls_that_were_under_way_do_not_lengthen_the_pause() -> None:
    server = Server()
    under_way = [server.breaker.call() for _ in range(3 * FAILURES)]
    for call in under_way:
        call.__enter__()
    for call in under_way:
        assert not call.__exit__(httpx.ReadTimeout, httpx.ReadTimeout("no answer"), None)
    server.now += FIRST_PAUSE

    server.fail(1)
