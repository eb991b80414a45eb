"""Where the commands print: rich on a terminal, plain everywhere else."""

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH_OF_A_FILE = 120

_probe = Console()
output = _probe if _probe.is_terminal else Console(width=WIDTH_OF_A_FILE)
errors = Console(stderr=True)


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
