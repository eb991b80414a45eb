"""Every raised alert has an explained kind; every kind is raised, and is cleared as its explanation
says.
"""

import ast
from pathlib import Path

from db.audit.certify import GUARANTEES
from domain.alerts import MEANINGS, AlertKind
from domain.billing.subscription import Provider

ROOT = Path(__file__).parent.parent.parent
LAYERS = ("activities", "api", "db", "runtime")
COMPUTED = {
    "guarantee_{guarantee}": {f"guarantee_{number}" for number in GUARANTEES},
    "guarantee_{finding.guarantee}": {f"guarantee_{number}" for number in GUARANTEES},
    "{provider.value}_api_version": {f"{part.value}_api_version" for part in Provider},
    "{provider.value}_webhook_setup": {f"{part.value}_webhook_setup" for part in Provider},
    "{provider.value}_events_missed": {f"{part.value}_events_missed" for part in Provider},
}
"""The kinds that a module computes, by their expression."""
RAISES = {"raise_", "alert", "_let_go", "_note", "Loop"}
CLEARS = {"clear", "clear_each", "_note", "Loop"}


def trees() -> list[ast.Module]:
    paths = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]
    return [ast.parse(path.read_text()) for path in paths]


def kinds_in(node: ast.AST) -> set[str]:
    """The kinds that an expression names, whether as a member or computed."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and ast.unparse(part.value) == "AlertKind":
            found.add(AlertKind[part.attr].value)
        if isinstance(part, ast.Call) and ast.unparse(part.func) == "AlertKind":
            [computed] = part.args
            if isinstance(computed, ast.JoinedStr):
                found |= COMPUTED[ast.unparse(computed)[2:-1]]
    return found


def aliases(tree: ast.Module) -> dict[str, set[str]]:
    """A module's names for kinds; a name for several kinds counts for each."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
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
    """The kinds that calls of these functions name. Constants count everywhere, other names in
    their module.
    """
    found = set()
    constants = {
        name: kinds for tree in trees() for name, kinds in aliases(tree).items() if name.isupper()
    }
    for tree in trees():
        kinds_by_name = constants | aliases(tree)
        for node in ast.walk(tree):
            if (
                not isinstance(node, ast.Call)
                or ast.unparse(node.func).rpartition(".")[2] not in functions
            ):
                continue
            for argument in node.args:
                names = [
                    ast.unparse(part)
                    for part in ast.walk(argument)
                    if isinstance(part, ast.Name | ast.Attribute)
                ]
                found |= kinds_in(argument).union(
                    *(kinds_by_name.get(name.rpartition(".")[2], set()) for name in names)
                )
    return found


def test_every_kind_is_explained() -> None:
    assert set(MEANINGS) == set(AlertKind)


def test_every_kind_is_raised_somewhere() -> None:
    # in a table, and raised together with others
    decided_before = {
        "callback_contradicted",
        "campaign_waits",
    }

    assert set(AlertKind) - named(RAISES) <= decided_before


def test_exactly_the_self_clearing_alerts_are_cleared_somewhere() -> None:
    self_clearing = {kind for kind, meaning in MEANINGS.items() if meaning.clears is not None}
    watched = {
        "campaign_waits",
        "campaign_refused",
    }  # open alerts are compared with the current state

    assert self_clearing - named(CLEARS) <= watched
    assert named(CLEARS) <= self_clearing


def test_no_alert_is_raised_by_a_text() -> None:
    """Mypy rejects it, too; this test does not need mypy."""
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "alerts.raise_",
                "alerts.clear",
            ):
                assert not isinstance(node.args[2], ast.Constant | ast.JoinedStr), ast.unparse(node)
