"""A variable is named after what it is, not with a word that fits everything."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = (
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
    "tests",
    "tools",
    "workflows",
)
CATCH_ALLS = {"told", "asked", "heard", "one", "held"}
MOST = 10
"""A few are fields of the API, whose holds and blocks are `held`."""


def bindings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Variables, parameters, fields, functions and classes, each where it gets its name."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name, node.lineno
            case _:
                pass


def test_hardly_any_variable_has_a_name_that_fits_everything() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if ".venv" not in path.parts and "node_modules" not in path.parts
        for name, line in bindings(ast.parse(path.read_text()))
        if name in CATCH_ALLS
    ]

    assert len(found) <= MOST, found
