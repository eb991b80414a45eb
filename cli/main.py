"""The `tollgate` command. Every process of ours starts here, and ends by `exit_now`."""

import importlib
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

import typer
from typer.main import get_command

from cli.console import errors
from runtime.processes import exit_now

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "cli.demo",
        "dev": "cli.dev",
        "api": "cli.serving",
        "worker": "cli.working",
        "migrate": "cli.migrating",
        "migrate-customers": "cli.customers",
        "reconcile": "cli.reconciling",
        "certify": "cli.certifying",
        "explain": "cli.explaining",
        "keys": "cli.keys",
        "bench": "cli.benching",
    }
)
"""Each command and the module that has it, by the same name: a function, or an app of further commands."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its status: 0 well, 1 not, 2 misused, 130 interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a command takes it, Ctrl-C ends us without a traceback
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
        found = getattr(importlib.import_module(COMMANDS[name]), name.replace("-", "_"))
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _status(arguments: Sequence[str]) -> int:
    asked = arguments[:1]
    try:
        app = create_app(asked if asked and asked[0] in COMMANDS else tuple(COMMANDS))
        get_command(app).main(list(arguments), prog_name="tollgate", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as problem:  # noqa: BLE001 - the last place that can tell of it
        _tell(problem)
    return 1


def _tell(problem: Exception) -> None:
    told = importlib.import_module("cli.problems").in_words(problem)
    if told is None:
        traceback.print_exception(problem)
    else:
        errors.print(told, style="red", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
