"""The `tollgate` command. Every process of ours starts here, and ends by `exit_now`."""

import importlib
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from typer.main import get_command

from cli.commands import app
from runtime.processes import exit_now


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its status: 0 well, 1 not, 2 misused, 130 interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a command takes it, Ctrl-C ends us without a traceback
    exit_now(_status(sys.argv[1:] if arguments is None else arguments))


def _status(arguments: Sequence[str]) -> int:
    try:
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
        errors = importlib.import_module("cli.console").errors
        errors.print(told, style="red", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
