"""Where the commands print: rich on a terminal, plain everywhere else."""

import os
import sys
from typing import Any, NoReturn

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cli.failures import Status
from domain.plain_text import one_line, visible

WIDTH_OF_A_FILE = 120


class PlainConsole(Console):
    """Prints plain text: markup and control characters in it have no effect."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


class _Output(PlainConsole):
    def on_broken_pipe(self) -> NoReturn:
        reader_left()


def reader_left() -> NoReturn:
    """Exit silently, but not with the status of a negative result."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(Status.READER_LEFT)


_probe = _Output()
output = _probe if _probe.is_terminal else _Output(width=WIDTH_OF_A_FILE)
errors = PlainConsole(stderr=True)


def write(text: str) -> None:
    """One unmodified line on standard output: a key, or JSON."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        reader_left()


def mark(*, good: bool, console: Console = output) -> str:
    """A symbol for the beginning of a line, if the terminal's encoding has it."""
    if not console.encoding.lower().startswith("utf"):
        return "ok" if good else "no"
    return "✓" if good else "✗"


class _Rows(Table):
    """A table in which each cell is one line of text."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(
            *(one_line(cell) if isinstance(cell, str) else cell for cell in cells), **options
        )


def table(*headings: str) -> Table:
    """A table that wraps long cells, so that an id can always be copied completely."""
    grid = _Rows(box=box.SIMPLE_HEAD)
    for heading in headings:
        grid.add_column(heading, overflow="fold")
    return grid
