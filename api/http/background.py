"""Work after a response: no request waits for it, a failure is one line in the log, and the
shutdown lets it finish.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class Background:
    """Nothing may depend on it: the relay repeats lost work."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def do(self, what: Coroutine[Any, Any, object], name: str, **about: object) -> None:
        """Start it now; the log has `name` and `about` if it fails."""
        task = asyncio.create_task(_logged(what, name, about))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, patience: float = 5.0) -> None:
        """Wait for the running work, then abandon it."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=patience)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _logged(what: Coroutine[Any, Any, object], name: str, about: dict[str, object]) -> None:
    try:
        await what
    except Exception as problem:  # noqa: BLE001 - whatever it is, there is nobody above to tell
        log.warning(
            "background_failed",
            what=name,
            problem=f"{type(problem).__name__}: {problem}"[:300],
            **about,
        )
