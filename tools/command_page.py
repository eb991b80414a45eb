"""The page of the commands, generated from their options and help."""

from typing import Any

from typer.main import get_command

from cli.commands import app as commands
from cli.failures import MEANINGS
from tools.tables import GENERATED, joined, table


def cli() -> str:
    root = get_command(commands)
    parts = [
        "# The commands",
        GENERATED,
        "After `make` has run once, the command is at `.venv/bin/tollgate`.",
    ]
    parts += [
        (
            "`tollgate --version` shows the version, `tollgate --install-completion` sets up "
            "completion in your shell."
        ),
        "A command ends with one of these statuses:",
        table(
            ("status", ""), [(str(int(status)), meaning) for status, meaning in MEANINGS.items()]
        ),
        (
            "`api`, `worker` and `migrate` wait up to a minute for their servers, and report the "
            "wait; the others try once."
        ),
        "`migrate`, `certify`, `explain`, `keys`, `parked`, `alerts` and `unpaid` need a database:",
        (
            "the one in `TOLLGATE_DATABASE_URL` or, if that is not set, the embedded one in "
            "`TOLLGATE_DATA_DIR`."
        ),
    ]
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # it is a group
        parts += _command(f"tollgate {name}", command)
    return joined(parts)


def _command(name: str, command: Any) -> list[str]:
    arguments = " ".join(
        parameter.name.upper()
        for parameter in command.params
        if parameter.param_type_name == "argument"
    )
    parts = [f"## `{f'{name} {arguments}'.strip()}`", " ".join((command.help or "").split())]
    rows = [
        (
            f"`{', '.join(parameter.opts)}`",
            getattr(parameter, "help", "") or "",
            _option_default(parameter),
        )
        for parameter in command.params
        if parameter.param_type_name == "option" and parameter.name != "help"
    ]
    if rows:
        parts.append(table(("option", "", "default"), rows))
    for further, sub in getattr(command, "commands", {}).items():
        parts += _command(f"{name} {further}", sub)
    return parts


def _option_default(option: Any) -> str:
    if option.required:
        return "**required**"
    if option.is_flag or option.default is None:
        return ""
    return f"`{getattr(option.default, 'value', option.default)}`"
