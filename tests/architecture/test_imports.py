"""Imports point down, and only one module reads the environment."""

import ast
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parent.parent.parent
PACKAGES = [
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
    "workflows",
]
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# two read it, the last one passes it to the processes that it starts
EXEMPT = {
    ROOT / "runtime" / "settings.py",
    ROOT / "runtime" / "temporal_address.py",
    ROOT / "devservers" / "subprocesses.py",
}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb"}


def test_every_import_contract_is_kept() -> None:
    assert (
        lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
        == EXIT_STATUS_SUCCESS
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_settings_read_the_environment(module: Path) -> None:
    if module in EXEMPT:
        return
    for node in ast.walk(ast.parse(module.read_text())):
        assert not (isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT), (
            f"line {node.lineno}"
        )
        assert not (
            isinstance(node, ast.ImportFrom) and ENVIRONMENT & {name.name for name in node.names}
        )
