"""How our processes begin to end, and end."""

import asyncio
import gc
import logging
import os
import signal
import sys
from typing import NoReturn


def exit_now(status: int) -> NoReturn:
    """Flush and end without the interpreter's own shutdown, in which a used Temporal client may
    abort (exit 134).

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
        ):  # the reader is gone; there is nobody left to tell
            continue
    os._exit(status)


def stop_requested() -> asyncio.Event:
    """An event that the first SIGINT or SIGTERM sets. A second one ends the process at once, with
    130.

    Call it inside the running loop, before the servers start.
    """
    requested = asyncio.Event()

    def note() -> None:
        if requested.is_set():
            exit_now(130)
        requested.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, note)
    return requested


def collect_garbage_rarely() -> None:
    """For a process that serves: what is loaded stays, and is not searched for garbage again and
    again.

    By the defaults a collection of everything stopped the API for 100 ms and more, many times a
    minute under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
