"""Every type of event is written somewhere, by a member of the catalogue, and only by the log."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from domain.events.catalogue import CATALOGUE, EventType

ROOT = Path(__file__).parent.parent.parent
LAYERS = ("activities", "api", "bench", "cli", "db", "runtime", "workflows")
LOG = ROOT / "db" / "events" / "log.py"
OPTED_IN = LOG.with_name("opted_in.py")
WRITERS = {"append": 1, "append_all": 1, "telling": 0, "appending_sql": 0}
BATCH = "opted_in.batch"
"""The functions of the log that write or tell, and which argument is the type."""
INSERTS = re.compile(r"INSERT\s+INTO\s+events\b", re.IGNORECASE)


def modules() -> dict[Path, ast.Module]:
    return {
        path: ast.parse(path.read_text())
        for layer in LAYERS
        for path in sorted((ROOT / layer).rglob("*.py"))
        if "migrations" not in path.parts and path not in (LOG, OPTED_IN)
    }


def members_in(tree: ast.AST) -> set[EventType]:
    return {
        EventType[node.attr]
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "EventType"
    }


def log_calls(tree: ast.AST) -> Iterator[ast.expr]:
    """The type that each call of the log passes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name == BATCH:
                yield node.args[0]
            writer = name.removeprefix("log.")
            if name == "appending_sql" or (name.startswith("log.") and writer in WRITERS):
                yield node.args[WRITERS[writer]]


def test_every_type_is_written_where_its_fact_changes() -> None:
    writing = {path: tree for path, tree in modules().items() if any(log_calls(tree))}
    written = {path: members_in(tree) for path, tree in writing.items()}

    assert {path.relative_to(ROOT).parts[0] for path in writing} <= {"db", "activities"}
    assert set().union(*written.values()) == set(EventType) == set(CATALOGUE)


def test_what_is_written_is_a_member_of_the_catalogue() -> None:
    """Directly, by a table of members, or by the parameter of a function that gets one."""
    for path, tree in modules().items():
        for type_ in log_calls(tree):
            where = f"{path.relative_to(ROOT)}: {ast.unparse(type_)}"
            assert not isinstance(type_, ast.Constant | ast.JoinedStr), where
            if not members_in(type_):
                assert members_in(tree), where


def test_nothing_but_the_log_inserts_events() -> None:
    tollgates = {
        path: tree for path, tree in modules().items() if ROOT / "bench" not in path.parents
    }
    for path, tree in tollgates.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not INSERTS.search(node.value), f"{path.relative_to(ROOT)}:{node.lineno}"
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("insert", "upsert"):
                assert ast.unparse(node.args[0]) not in ("events", "events_table"), path
