"""An operator at night needs commands and requests, and no access to the database."""

import re

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from cli.commands import app
from db.tables import metadata
from tests.docs.pages import ROOT, blocks

RUNBOOK = ROOT / "docs" / "how-to" / "runbook.md"
TEXT = RUNBOOK.read_text(encoding="utf-8")
SQL = re.compile(
    r"\bpsql\b|\bSQL\b|\bSELECT\b|\bINSERT INTO\b|\bDELETE FROM\b|\bUPDATE \w+ SET\b|in the table\b"
)
COMMAND = re.compile(r"(?:`|^\$ |: )tollgate ([a-z-]+)(?:[ \n]([a-z-]+))?", re.MULTILINE)


def test_the_runbook_has_no_sql() -> None:
    assert SQL.findall(TEXT) == []
    assert [block for block in blocks(RUNBOOK) if block.language == "sql"] == []


@pytest.mark.parametrize("sql", ["run `SELECT 1`", "psql", "look in the table `inbox`"])
def test_sql_would_be_found(sql: str) -> None:
    assert SQL.search(sql)


def test_the_runbook_names_no_table_that_only_the_database_shows() -> None:
    named = set(re.findall(r"`([a-z_]+)`", TEXT))

    assert (
        named & {"inbox", "standings", "ledger_entries", "money_changes", "gate_changes"} == set()
    )
    assert {"inbox", "standings", "ledger_entries"} <= metadata.tables.keys()


def test_every_command_of_the_runbook_exists() -> None:
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    missing = []
    for name, second in COMMAND.findall(TEXT):
        found = root.commands.get(name)
        if found is None:
            missing.append(name)
        elif isinstance(found, TyperGroup) and not found.invoke_without_command:
            missing += [] if second in found.commands else [f"{name} {second}"]

    assert missing == []
    assert len(COMMAND.findall(TEXT)) > 20
