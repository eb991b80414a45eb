"""Help, the version and a mistyped command do not import the commands' code, which takes seconds."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from cli.commands import app

HEAVY = [
    "alembic",
    "fastapi",
    "httpx",
    "psycopg",
    "sqlalchemy",
    "stripe",
    "temporalio",
    "twilio",
    "uvicorn",
]
TRY = f"""
import os, sys
from cli import main
def end(status):
    print("status", status, "imported", sorted(set({HEAVY!r}) & set(sys.modules)))
    sys.stdout.flush()
    os._exit(0)
main.exit_now = end
main.main(sys.argv[1:])
"""


def every_command(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from every_command(command, (*path, name))


HELP = [((*path, "--help"), 0) for path in every_command(get_command(app))]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [*HELP, (("--version",), 0), (("certfy",), 2), (("api", "--port", "x"), 2)],
)
def test_fast_commands_import_nothing_heavy(arguments: tuple[str, ...], status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRY, *arguments], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == f"status {status} imported []"
