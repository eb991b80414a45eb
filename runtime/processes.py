"""How our processes shut down."""

import asyncio
import gc
import logging
import os
import signal
import sys
from typing import NoReturn


def exit_now(status: int) -> NoReturn:
    """Flush and exit without the interpreter's own shutdown, during which a used Temporal client
    may abort (exit 134).

    Nothing runs after it: no `finally`, no `atexit`. Stop servers and close pools first.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (
            OSError,
            ValueError,
            AttributeError,
        ):  # the reader is gone; nobody would see the error
            continue
    os._exit(status)


class StopRequest(asyncio.Event):
    """Set when the process has to stop. `is_deployment`: by SIGTERM, so others serve on."""

    is_deployment = False


def stop_requested() -> StopRequest:
    """An event that the first SIGINT or SIGTERM sets. A second one ends the process at once, with
    status 130.

    Call it inside the running loop, before the servers start.
    """
    requested = StopRequest()

    def note(number: signal.Signals) -> None:
        if requested.is_set():
            exit_now(130)
        requested.is_deployment = number is signal.SIGTERM
        requested.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, note, number)
    return requested


def collect_garbage_rarely() -> None:
    """For a serving process: loaded modules stay, and the garbage collector does not scan them
    repeatedly.

    With the defaults, full collections stopped the API for 100 ms and more, many times a minute
    under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
