"""What a reader takes in at once: modules, functions and lines stay short, and rooms are not flat."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PRODUCT = (
    "activities",
    "api",
    "bench",
    "cli",
    "db",
    "devservers",
    "domain",
    "providers",
    "runtime",
    "simulators",
    "tools",
    "workflows",
)
RECORDED = ROOT / "db" / "migrations" / "versions"
"""Migrations are written once and never edited."""
MODULES = sorted(
    path
    for package in PRODUCT
    for path in (ROOT / package).rglob("*.py")
    if RECORDED not in path.parents
)
LONGEST_MODULE = 300
LONGEST_FUNCTION = 60
LONGEST_LINE = 100
LONGER_LINES = 0.02
MOST_IN_A_ROOT = 6


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function with its lines, decorators included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min(part.lineno for part in (node, *node.decorator_list))
            yield node.name, (node.end_lineno or first) - first + 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_and_no_function_is_too_long(path: Path) -> None:
    length = len(path.read_text().splitlines())
    too_long = {name: lines for name, lines in functions(path) if lines > LONGEST_FUNCTION}

    assert length <= LONGEST_MODULE
    assert not too_long


def test_hardly_any_line_is_longer_than_a_screen_is_wide() -> None:
    lines = [line for path in MODULES for line in path.read_text().splitlines()]
    longer = [line for line in lines if len(line) > LONGEST_LINE]

    assert len(longer) <= LONGER_LINES * len(lines)


@pytest.mark.parametrize("package", ["api", "db"])
def test_few_modules_belong_to_no_subject(package: str) -> None:
    modules = [path.stem for path in (ROOT / package).glob("*.py") if path.stem != "__init__"]

    assert len(modules) <= MOST_IN_A_ROOT, sorted(modules)
