"""The `tollgate` command. Every process of ours starts here, and ends by `exit_now`."""

import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import psycopg
import typer
from sqlalchemy.exc import OperationalError, ProgrammingError
from typer.main import get_command

from cli import certifying, demo, dev, explaining, keys, serving
from cli.console import errors
from cli.stack import StackFailed
from runtime.client import TemporalUnreachable
from runtime.postgres import PostgresDidNotStart
from runtime.processes import exit_now
from runtime.settings import BadSettings
from runtime.temporal import NoTemporal

EXPECTED = (BadSettings, NoTemporal, PostgresDidNotStart, StackFailed, TemporalUnreachable)

app = typer.Typer(
    name="tollgate",
    help="No message leaves without payment.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(dev.dev)
app.command()(serving.api)
app.command()(serving.worker)
app.command()(serving.migrate)
app.command()(certifying.certify)
app.command()(explaining.explain)
app.add_typer(keys.app, name="keys")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its status: 0 well, 1 not, 2 misused, 130 interrupted."""
    exit_now(_status(sys.argv[1:] if arguments is None else arguments))


def _status(arguments: Sequence[str]) -> int:
    try:
        get_command(app).main(list(arguments), prog_name="tollgate", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except EXPECTED as problem:
        errors.print(str(problem), style="red", markup=False, highlight=False, soft_wrap=True)
    except (OperationalError, ProgrammingError) as problem:
        errors.print(_in_words(problem), style="red", markup=False, highlight=False, soft_wrap=True)
    except Exception:  # noqa: BLE001 - the last place that can tell of it
        traceback.print_exc()
    return 1


def _in_words(problem: OperationalError | ProgrammingError) -> str:
    if isinstance(problem.orig, psycopg.errors.UndefinedTable):
        return "the database has no tables yet: run `tollgate migrate` first"
    return f"the database does not do what it should: {str(problem.orig).partition(chr(10))[0]}"


if __name__ == "__main__":
    main()
