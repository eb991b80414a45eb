"""Only `db/wallet/wallets` writes money and the ledger, or locks a wallet's row; `gates` beside it writes
the gate alone.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    "activities",
    "api",
    "bench",
    "cli",
    "db",
    "devservers",
    "domain",
    "providers",
    "runtime",
    "workflows",
)
MONEY_MODULES = {
    ROOT / "db" / "wallet" / name for name in ("wallets.py", "statements.py", "gates.py")
}
MODULES = [
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if path not in MONEY_MODULES and not {"migrations", "tables"} & set(path.parts)
]
TABLES = {"wallets", "ledger_entries", "gate_changes"}
READER = ROOT / "db" / "wallet" / "ledger.py"
"""It reads entries with the table, and imports nothing that could write them."""
WRITING = {"insert", "update", "delete"}
WRITES = re.compile(
    r"(UPDATE|INSERT\s+INTO|DELETE\s+FROM|TRUNCATE|ALTER\s+TABLE)\s+(wallets|ledger_entries|gate_changes)\b",
    re.IGNORECASE,
)
LOCKS = re.compile(
    r"\bFROM\s+wallets\b.*\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE)\b", re.IGNORECASE | re.DOTALL
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_module_writes_money_or_locks_a_wallet(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "db.tables.wallet":
            allowed = {"ledger_entries"} if path == READER else set()
            named = {name.name for name in node.names}
            assert not (TABLES - allowed) & named, f"line {node.lineno}"
        if path == READER and isinstance(node, ast.ImportFrom):
            assert not WRITING & {name.name for name in node.names}, f"line {node.lineno}"
        if path == READER and isinstance(node, ast.Attribute):
            assert node.attr not in WRITING, f"line {node.lineno}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not WRITES.search(node.value), f"line {node.lineno}"
            assert not LOCKS.search(node.value), f"line {node.lineno}"


def test_the_one_place_locks_the_row_before_it_writes() -> None:
    text = (ROOT / "db" / "wallet" / "wallets.py").read_text()

    assert ".with_for_update()" in text
    assert ".with_for_update(read=True)" in text
