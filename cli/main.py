"""The `tollgate` command. Every process of ours starts here, and ends by `exit_now`."""

import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

import psycopg
import typer
from sqlalchemy.exc import OperationalError, ProgrammingError
from typer.main import get_command

from cli.console import errors
from cli.failures import CommandFailed
from runtime.client import TemporalUnreachable
from runtime.postgres import PostgresDidNotStart
from runtime.processes import exit_now
from runtime.settings import BadSettings
from runtime.temporal import NoTemporal

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "cli.demo",
        "dev": "cli.dev",
        "api": "cli.serving",
        "worker": "cli.working",
        "migrate": "cli.migrating",
        "certify": "cli.certifying",
        "explain": "cli.explaining",
        "keys": "cli.keys",
        "bench": "cli.benching",
    }
)
"""Each command and the module that has it, by the same name: a function, or an app of further commands."""
EXPECTED = (BadSettings, CommandFailed, NoTemporal, PostgresDidNotStart, TemporalUnreachable)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its status: 0 well, 1 not, 2 misused, 130 interrupted."""
    exit_now(_status(sys.argv[1:] if arguments is None else arguments))


def create_app(names: Sequence[str] = tuple(COMMANDS)) -> typer.Typer:
    """The commands `names`, with only their modules imported: all of them take seconds."""
    app = typer.Typer(
        name="tollgate",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def tollgate() -> None:
        """No message leaves without payment."""

    for name in names:
        found = getattr(importlib.import_module(COMMANDS[name]), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _status(arguments: Sequence[str]) -> int:
    asked = arguments[:1]
    app = create_app(asked if asked and asked[0] in COMMANDS else tuple(COMMANDS))
    try:
        get_command(app).main(list(arguments), prog_name="tollgate", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except EXPECTED as problem:
        _tell(str(problem))
    except (OperationalError, ProgrammingError) as problem:
        _tell(_in_words(problem))
    except Exception:  # noqa: BLE001 - the last place that can tell of it
        traceback.print_exc()
    return 1


def _tell(problem: str) -> None:
    errors.print(problem, style="red", markup=False, highlight=False, soft_wrap=True)


def _in_words(problem: OperationalError | ProgrammingError) -> str:
    if isinstance(problem.orig, psycopg.errors.UndefinedTable):
        return "the database has no tables yet: run `tollgate migrate` first"
    return f"the database does not do what it should: {str(problem.orig).partition(chr(10))[0]}"


if __name__ == "__main__":
    main()
