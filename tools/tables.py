"""Tables of the generated pages."""

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Written by `python -m tools.reference` from the code; change it there. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [
        head,
        ["---"] * len(head),
        *([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"
