"""Every alert that is raised has a kind that is explained; every kind is raised, and ends as its explanation says."""

import ast
from pathlib import Path

from db.certify import GUARANTEES
from domain.alerts import MEANINGS, AlertKind
from domain.subscription import Provider

ROOT = Path(__file__).parent.parent.parent
LAYERS = ("activities", "api", "db", "runtime")
COMPUTED = {
    "guarantee_{guarantee}": {f"guarantee_{number}" for number in GUARANTEES},
    "guarantee_{finding.guarantee}": {f"guarantee_{number}" for number in GUARANTEES},
    "{provider.value}_api_version": {f"{one.value}_api_version" for one in Provider},
    "{provider.value}_webhook_setup": {f"{one.value}_webhook_setup" for one in Provider},
    "{provider.value}_events_missed": {f"{one.value}_events_missed" for one in Provider},
}
"""The kinds that a module computes, by how it writes that."""
RAISES = {"raise_", "alert", "_let_go", "_note", "Loop"}
CLEARS = {"clear", "_note", "Loop"}


def trees() -> list[ast.Module]:
    paths = [path for layer in LAYERS for path in sorted((ROOT / layer).glob("*.py"))]
    return [ast.parse(path.read_text()) for path in paths]


def kinds_in(node: ast.AST) -> set[str]:
    """The kinds that an expression names, whether as a member or computed."""
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and ast.unparse(one.value) == "AlertKind":
            found.add(AlertKind[one.attr].value)
        if isinstance(one, ast.Call) and ast.unparse(one.func) == "AlertKind":
            [computed] = one.args
            if isinstance(computed, ast.JoinedStr):
                found |= COMPUTED[ast.unparse(computed)[2:-1]]
    return found


def aliases() -> dict[str, set[str]]:
    """What modules and functions call kinds; a name for several kinds stands for each."""
    found: dict[str, set[str]] = {}
    for node in (one for tree in trees() for one in ast.walk(tree)):
        if not isinstance(node, ast.Assign) or not kinds_in(node.value):
            continue
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for name, value in zip(target.elts, node.value.elts, strict=True):
                    found.setdefault(ast.unparse(name), set()).update(kinds_in(value))
            else:
                found.setdefault(ast.unparse(target), set()).update(kinds_in(node.value))
    return found


def named(functions: set[str]) -> set[str]:
    """The kinds that calls of these functions name."""
    found, known = set(), aliases()
    for node in (one for tree in trees() for one in ast.walk(tree)):
        if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] not in functions:
            continue
        for argument in node.args:
            found |= kinds_in(argument)
            for name in (ast.unparse(one) for one in ast.walk(argument) if isinstance(one, ast.expr)):
                found |= known.get(name, set()) | known.get(name.rpartition(".")[2], set())
    return found


def test_every_kind_is_explained() -> None:
    assert set(MEANINGS) == set(AlertKind)


def test_every_kind_is_raised_somewhere() -> None:
    by_tables = {
        # what readings and the watch over campaigns decide, and then raise together
        *("callback_contradicted", "refund_unconfirmed", "sent_after_refund", "campaign_waits", "campaign_refused"),
        *("not_confirmed", "telephony"),
    }

    assert set(AlertKind) - named(RAISES) <= by_tables


def test_what_is_said_to_clear_is_cleared_somewhere_and_nothing_else_is() -> None:
    said = {kind for kind, meaning in MEANINGS.items() if meaning.clears is not None}
    by_sql = {"sending_refused", "campaign_waits", "campaign_refused"}

    assert said - named(CLEARS) <= by_sql
    assert named(CLEARS) <= said


def test_no_alert_is_raised_by_a_text() -> None:
    """Mypy refuses it as well; here it is seen without mypy."""
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("alerts.raise_", "alerts.clear"):
                assert not isinstance(node.args[2], ast.Constant | ast.JoinedStr), ast.unparse(node)
