"""The `tollgate` command. Every process of Tollgate starts here, and ends with `exit_now`."""

import io
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from cli.commands import app
from domain.plain_text import visible
from runtime.processes import exit_now


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its status, one of `cli.failures.Status`."""
    # until a command handles it, Ctrl-C ends the process without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        # a character that the terminal's encoding lacks must not fail the command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    exit_now(_status(sys.argv[1:] if arguments is None else arguments))


def _status(arguments: Sequence[str]) -> int:
    try:
        status = get_command(app).main(list(arguments), prog_name="tollgate", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except typer.BadParameter as problem:
        # the library's name for the problem
        problem.message = problem.message.removeprefix("Value error, ")
        problem.show()
        return problem.exit_code
    except TyperException as problem:
        getattr(problem, "show")()  # noqa: B009 - its subclasses have it: the usage, or the help
        return problem.exit_code
    except Exception as problem:  # noqa: BLE001 - the last place that can tell of it
        return _tell(problem)


def _tell(problem: Exception) -> int:
    from cli.console import errors  # noqa: PLC0415 - what help and the version do without
    from cli.failures import Status  # noqa: PLC0415
    from cli.problems import in_words  # noqa: PLC0415

    outcome = in_words(problem)
    if outcome is None:
        sys.stderr.write(visible("".join(traceback.format_exception(problem))))
        return Status.MISTAKE
    text, status = outcome
    errors.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    return status


if __name__ == "__main__":
    main()
