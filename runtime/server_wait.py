"""Waits for a server: reports the wait at once, and fails with the server's name and the reason."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import structlog

log = structlog.get_logger()
PATIENCE = timedelta(seconds=60)
"""How long a serving process waits for its servers, which may start together with it."""
LOOK_EVERY = 0.5
SAY_AFTER = 1.0

T = TypeVar("T")
Say = Callable[[str], None]


class ServerAway(Exception):
    """A server does not respond; the message names it and the reason."""


def log_waiting(text: str) -> None:
    log.warning("waiting_for_server", detail=text)


async def until_it_answers(
    server: str,
    look: Callable[[], Coroutine[Any, Any, T]],
    *,
    away: tuple[type[Exception], ...],
    reason: Callable[[Exception], str],
    patience: timedelta,
    say: Say,
) -> T:
    """The result of `look`. Retries while it raises one of `away`, until `patience` is over:
    ServerAway.

    Calls `say` once per wait: at the first failure, or if there is no response within a second.
    """
    deadline = asyncio.get_running_loop().time() + patience.total_seconds()
    announced = False
    while True:
        attempt = asyncio.create_task(look())
        try:
            if not (await asyncio.wait({attempt}, timeout=SAY_AFTER))[0] and not announced:
                say(f"waiting for {server} ...")
                announced = True
            return await attempt
        except away as problem:
            if asyncio.get_running_loop().time() >= deadline:
                raise ServerAway(f"{server} does not answer: {reason(problem)}") from problem
            if not announced:
                say(f"waiting for {server} ({reason(problem)}) ...")
                announced = True
        finally:
            attempt.cancel()
        await asyncio.sleep(LOOK_EVERY)
