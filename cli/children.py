"""The processes of a stack: started, watched, and stopped with it."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

from cli.failures import CommandFailed
from devservers import subprocesses

WORKER_PATIENCE = 40.0
TAIL_LINES = 15
WATCH_EVERY = 0.25


class StackFailed(CommandFailed):
    """A part did not start or ended early; the message ends with the last lines of its log."""


@dataclass(slots=True)
class Children:
    """Tollgate's processes, each with its own log."""

    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @asynccontextmanager
    async def run(
        self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> AsyncIterator[None]:
        command = [sys.executable, "-m", module, *arguments]
        with self.log(name).open("ab") as log:
            process = subprocesses.spawn(
                command, stop_signal=signal.SIGTERM, output=log, environment=environment
            )
        self.running[name] = process
        try:
            yield
        finally:
            await asyncio.to_thread(subprocesses.stop, process, signal.SIGTERM, WORKER_PATIENCE)

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def check(self) -> None:
        """Raise StackFailed if one of them has ended."""
        for name, process in self.running.items():
            if process.poll() is not None:
                log = self.log(name)
                last = subprocesses.tail(log, TAIL_LINES)
                raise StackFailed(
                    f"{name} ended with status {process.returncode}; the end of {log}:\n{last}"
                )

    async def alive_during(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the work to its end; if a process ends first, cancels it and raises StackFailed."""
        doing, watching = asyncio.create_task(work), asyncio.create_task(self.watch())
        try:
            await asyncio.wait({doing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                await watching
            await doing
        finally:
            for task in (doing, watching):
                task.cancel()
            await asyncio.gather(doing, watching, return_exceptions=True)

    async def watch(self) -> Never:
        while True:
            self.check()
            await asyncio.sleep(WATCH_EVERY)

    def last_words(self) -> str:
        """The last lines of all logs, for finding the cause of a failure."""
        return "\n".join(
            f"--- {self.log(name)}\n{subprocesses.tail(self.log(name), 8)}" for name in self.running
        )
