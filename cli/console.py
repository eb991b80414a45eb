"""Where the commands print: rich on a terminal, plain everywhere else."""

from rich.console import Console

WIDTH_OF_A_FILE = 120

_probe = Console()
output = _probe if _probe.is_terminal else Console(width=WIDTH_OF_A_FILE)
errors = Console(stderr=True)


def mark(*, good: bool, console: Console = output) -> str:
    """A sign for the beginning of a line, as far as the terminal's encoding goes."""
    if not console.encoding.lower().startswith("utf"):
        return "ok" if good else "no"
    return "✓" if good else "✗"
