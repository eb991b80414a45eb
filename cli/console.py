"""Where the commands print: rich on a terminal, plain everywhere else."""

import os
import sys
from typing import NoReturn

from rich import box
from rich.console import Console
from rich.table import Table

from cli.failures import Status

WIDTH_OF_A_FILE = 120


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        reader_left()


def reader_left() -> NoReturn:
    """End in silence, and not with the status that says that something does not hold."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(Status.READER_LEFT)


_probe = _Console()
output = _probe if _probe.is_terminal else _Console(width=WIDTH_OF_A_FILE)
errors = Console(stderr=True)


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


def table(*headings: str) -> Table:
    """A table that folds what is too long, so that an id can always be copied whole."""
    made = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made
