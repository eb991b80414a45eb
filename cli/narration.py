"""Prints the demo's story: chapters, a line for each step with its duration, and expectations that
must hold.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.console import mark
from domain.plain_text import visible

PATIENCE = 60.0
LOOK_EVERY = 0.02
T = TypeVar("T")


class Differs(Exception):
    """An expectation of the story failed; the message says what was expected and what was found."""


@dataclass(slots=True)
class Line:
    """The line to print for a step."""

    text: str
    detail: str = ""

    def says(self, text: str, detail: str = "") -> None:
        self.text, self.detail = text, detail


class Teller:
    def __init__(self, console: Console) -> None:
        self.console = console
        self._chapters = 0

    def chapter(self, title: str) -> None:
        self._chapters += 1
        self.console.print(Text(f"\n{self._chapters}  {visible(title)}", "bold"))

    @asynccontextmanager
    async def step(self, doing: str) -> AsyncIterator[Line]:
        """Shows `doing` during the step, and the final line afterwards."""
        line, began = Line(doing), time.monotonic()
        try:
            with self.console.status(Text(visible(doing)), spinner="line"):
                yield line
        except Exception:
            self._print(line, began, good=False)
            raise
        self._print(line, began, good=True)

    def note(self, text: str) -> None:
        self.console.print(Text(f"{'':14}{visible(text)}", "dim"), soft_wrap=True)

    def show(self, table: Table) -> None:
        self.console.print(Padding(table, (0, 0, 0, 13)))

    def _print(self, line: Line, began: float, *, good: bool) -> None:
        took = f"{(time.monotonic() - began) * 1000:,.0f} ms"
        sign = (mark(good=good, console=self.console), "green" if good else "red")
        text = Text.assemble("  ", sign, f" {took:>9}  {visible(line.text)}")
        self.console.print(text, soft_wrap=True)
        if line.detail:
            self.note(line.detail)


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Differs(f"{what}: expected {wanted!r}, found {found!r}")


async def wait_for(
    what: str, look: Callable[[], Awaitable[T | None]], patience: float = PATIENCE
) -> T:
    """The result of `look` as soon as it is neither None nor False. Raises Differs when patience
    ends.
    """
    deadline = time.monotonic() + patience
    while True:
        found = await look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise Differs(f"{what}: it did not happen within {patience:.0f} s")
        await asyncio.sleep(LOOK_EVERY)
