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
    """What is printed is text: neither markup nor control characters in it do anything."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


class _Output(PlainConsole):
    def on_broken_pipe(self) -> NoReturn:
        reader_left()


def reader_left() -> NoReturn:
    """End in silence, and not with the status that says that something does not hold."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(Status.READER_LEFT)


_probe = _Output()
output = _probe if _probe.is_terminal else _Output(width=WIDTH_OF_A_FILE)
errors = PlainConsole(stderr=True)


def write(text: str) -> None:
    """One line on standard output as it is: a key, or JSON."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        reader_left()


def mark(*, good: bool, console: Console = output) -> str:
    """A sign for the beginning of a line, as far as the terminal's encoding goes."""
    if not console.encoding.lower().startswith("utf"):
        return "ok" if good else "no"
    return "✓" if good else "✗"


class _Rows(Table):
    """A table whose cells are each one line of text."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(
            *(one_line(cell) if isinstance(cell, str) else cell for cell in cells), **options
        )


def table(*headings: str) -> Table:
    """A table that folds what is too long, so that an id can always be copied whole."""
    made = _Rows(box=box.SIMPLE_HEAD)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made
