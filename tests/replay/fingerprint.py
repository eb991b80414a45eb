"""The commands that each workflow class issues, in the order of its source.

A second check in addition to the replay, for paths through a workflow that no recorded history
covers. It sees the order in the source, not the conditions of branches: an inverted condition goes
unnoticed. To accept a change: `python -m tests.replay.fingerprint --accept`.
"""

import ast
import json
import sys
from pathlib import Path

ACCEPTED = Path(__file__).parent / "commands.json"
WORKFLOWS = Path(__file__).parents[2] / "workflows"
COMMANDS = frozenset(
    {
        *(
            "execute_activity",
            "execute_activity_method",
            "execute_activity_class",
            "execute_local_activity",
        ),
        *(
            "start_activity",
            "start_activity_method",
            "start_activity_class",
            "start_local_activity",
        ),
        *(
            "execute_child_workflow",
            "start_child_workflow",
            "signal",
            "cancel",
            "sleep",
            "wait_condition",
        ),
        *(
            "continue_as_new",
            "upsert_search_attributes",
            "upsert_memo",
            "patched",
            "deprecate_patch",
        ),
        *("uuid4", "random", "new_random"),
    }
)
ACTIVITIES = frozenset(
    {"Billing", "Enforcement", "EventBackfill", "Switching", "Passes", "Retired", "Sending"}
)
Commands = dict[str, list[str]]


def commands(folder: Path = WORKFLOWS) -> Commands:
    """By workflow class, with its module's other definitions: activities are named in tables, too."""
    found: Commands = {}
    for path in sorted(folder.rglob("*.py")):
        module = ast.parse(path.read_text())
        for node in module.body:
            if isinstance(node, ast.ClassDef) and any(
                "workflow.defn" in ast.unparse(decorator) for decorator in node.decorator_list
            ):
                beside = [
                    statement
                    for statement in module.body
                    if not isinstance(statement, ast.ClassDef)
                ]
                found[node.name] = [line for part in (*beside, node) for line in _lines(part, "")]
    return found


def _lines(node: ast.AST, where: str) -> list[str]:
    """Every command and every activity named below the node, as `function: text`."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [line for statement in node.body for line in _lines(statement, f"{node.name}: ")]
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in COMMANDS
    ):
        named = (
            []
            if node.func.attr in {"wait_condition", "sleep"}
            else [ast.unparse(argument) for argument in node.args[:1]]
        )
        timed = ["timeout"] if any(each.arg == "timeout" for each in node.keywords) else []
        return [f"{where}{ast.unparse(node.func)}({', '.join([*named, *timed])})"]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and _is_activity(node):
        return [f"{where}{ast.unparse(node)}"]
    return [line for child in ast.iter_child_nodes(node) for line in _lines(child, where)]


def _is_activity(node: ast.Attribute) -> bool:
    assert isinstance(node.value, ast.Name)
    return node.value.id in ACTIVITIES and node.attr.islower()


def main() -> None:
    if sys.argv[1:] != ["--accept"]:
        sys.exit("usage: python -m tests.replay.fingerprint --accept")
    ACCEPTED.write_text(json.dumps(commands(), indent=1) + "\n")


if __name__ == "__main__":
    main()
