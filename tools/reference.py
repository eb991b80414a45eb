"""Writes docs/reference from the code: API, settings, commands, the lifecycle's tables, alerts, the
guarantees' checks, and the table of modules in CONTRIBUTING.md.

`python -m tools.reference` writes, `python -m tools.reference --check` fails where a page is out of
date.
"""

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from typer.main import get_command

from api.app import ROUTES, create_app
from api.http import auth, errors
from cli.commands import app as commands
from cli.failures import MEANINGS
from db.audit.certify import CHECKS, GUARANTEES
from runtime import billing, settings
from tools import alert_tables, failures, lifecycle, rooms

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
GENERATED = "<!-- Written by `python -m tools.reference` from the code; change it there. -->"
Json = Mapping[str, Any]


def pages() -> dict[Path, str]:
    """Every generated page with its content."""
    lifecycle_page, guarantees_page = REFERENCE / "lifecycle.md", REFERENCE / "guarantees.md"
    campaigns_page = REFERENCE.parent / "explanation" / "campaigns.md"
    runbook = REFERENCE.parent / "how-to" / "runbook.md"
    contributing = REFERENCE.parent.parent / "CONTRIBUTING.md"
    return {
        REFERENCE / "api.md": api(),
        REFERENCE / "settings.md": settings_page(),
        REFERENCE / "cli.md": cli(),
        lifecycle_page: lifecycle.filled(lifecycle_page.read_text(encoding="utf-8")),
        campaigns_page: failures.filled(campaigns_page.read_text(encoding="utf-8")),
        runbook: alert_tables.filled(runbook.read_text(encoding="utf-8")),
        contributing: rooms.filled(contributing.read_text(encoding="utf-8")),
        guarantees_page: guarantees(guarantees_page.read_text(encoding="utf-8")),
    }


def stale() -> list[Path]:
    return [
        path
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def guarantees(page: str) -> str:
    """The page with each guarantee's checks as `certify` has them."""
    for number in GUARANTEES:
        claims = [f"- {check.claim}" for check in CHECKS if check.guarantee == number]
        page = lifecycle.fill(page, f"checks {number}", "\n".join(claims))
    return page


# The API


def api() -> str:
    schema = create_app().openapi()
    schemas: Json = schema["components"]["schemas"]
    parts = [
        "# The API",
        GENERATED,
        (
            "A running API serves the same as OpenAPI at `/openapi.json`, and to read and try at "
            "`/docs`."
        ),
        schema["info"]["description"].strip(),
    ]
    for tag in schema["tags"]:
        parts += [f"## {tag['name'].capitalize()}", tag["description"]]
        for path, methods in schema["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    parts += _operation(method.upper(), path, operation)
    parts += ["## Errors", _errors(), "## Bodies and answers"]
    for name, shape in sorted(schemas.items(), key=lambda item: _title(item[0], item[1])):
        parts += _schema(name, shape, schemas)
    return _joined(parts)


def _operation(method: str, path: str, operation: Json) -> list[str]:
    scope = _scopes().get((method, path))
    needs = f"Needs a key with the scope `{scope}`." if scope else "Needs no key."
    parts = [f"### `{method} {path}`", f"{operation['summary']}. {needs}"]
    if "description" in operation:
        parts.append(operation["description"].strip())
    rows = [
        (
            f"`{parameter['name']}`",
            parameter["in"],
            _type(parameter["schema"]),
            parameter.get("description", ""),
        )
        for parameter in operation.get("parameters", ())
        if parameter["in"] != "path"
    ]
    if rows:
        parts.append(_table(("parameter", "in", "type", ""), rows))
    body = (
        operation.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        .get("schema")
    )
    answers = sorted(operation["responses"].items())
    good = ", ".join(
        f"{status} {_answer(answer)}".strip() for status, answer in answers if status < "300"
    )
    bad = ", ".join(status for status, _ in answers if status >= "300")
    line = f"Body: {_type(body)}. " if body else ""
    parts.append(f"{line}Answers: {good}{f'; errors: {bad}' if bad else ''}.")
    return parts


def _scopes() -> dict[tuple[str, str], str]:
    words = {id(auth.READ): "read", id(auth.WRITE): "write", id(auth.OPERATOR): "operator"}
    found: dict[tuple[str, str], str] = {}
    for module in ROUTES:
        for route in module.router.routes:
            for dependency in getattr(route, "dependencies", ()):
                for method in getattr(route, "methods", ()):
                    found[method, getattr(route, "path", "").replace(":path}", "}")] = words[
                        id(dependency)
                    ]
    return found


def _answer(answer: Json) -> str:
    shape = answer.get("content", {}).get("application/json", {}).get("schema")
    return _type(shape) if shape else ""


def _schema(name: str, shape: Json, schemas: Json) -> list[str]:
    parts = [f"### {_title(name, shape)}"]
    if "description" in shape:
        parts.append(" ".join(shape["description"].split()))
    required = set(shape.get("required", ()))
    if "enum" in shape:
        parts.append("One of " + ", ".join(f"`{value}`" for value in shape["enum"]) + ".")
    if "properties" in shape:
        body = shape.get("additionalProperties") is False
        rows = [
            (
                f"`{field}`",
                _type(property_, schemas),
                _about(property_, optional=body and field not in required),
            )
            for field, property_ in shape["properties"].items()
        ]
        parts.append(_table(("field", "type", ""), rows))
    return parts


def _about(field: Json, *, optional: bool) -> str:
    example = next(iter(field.get("examples", ())), "")
    facts = [
        "optional" if optional else "",
        field.get("description", "").removesuffix("."),
        f"such as `{example if isinstance(example, str) else json.dumps(example)}`"
        if example != ""
        else "",
    ]
    return "; ".join(part for part in facts if part)


def _type(shape: Json, schemas: Json | None = None) -> str:
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        title = _title(name, (schemas or {}).get(name, {}))
        return f"[{title}](#{title.lower().replace(' ', '-')})"
    for either in ("anyOf", "oneOf"):
        if either in shape:
            return " or ".join(_type(option, schemas) for option in shape[either])
    if shape.get("type") == "array":
        return f"list of {_type(shape.get('items', {}), schemas)}"
    if "const" in shape or "enum" in shape:
        return " or ".join(f"`{value}`" for value in shape.get("enum", [shape.get("const")]))
    return str(shape.get("format") or shape.get("type", "anything"))


def _title(name: str, shape: Json) -> str:  # noqa: ARG001 - one name for a thing, wherever it stands
    return name.removesuffix("Out")


def _errors() -> str:
    rows = [(str(kind.status), f"`{kind.code}`", kind.title) for kind in errors.Kind]
    return _table(("status", "code", "title"), rows)


# The settings


def settings_page() -> str:
    parts = [
        "# The settings",
        GENERATED,
        (
            "All settings are environment variables; no file is read. An empty variable counts as "
            "missing."
        ),
        (
            "A process refuses to start when a variable that it needs is missing or wrong. One "
            "line names all of them."
        ),
        (
            "It also refuses unknown names that begin with `TOLLGATE_`, except those that Compose "
            "and Kubernetes set."
        ),
        "Addresses begin with `https://`; `http://` is allowed for this machine only.",
        "Live and test mode cannot be mixed: a live Stripe key with PayPal's sandbox is refused.",
    ]
    groups: list[type[settings.Group]] = [settings.Settings, *billing.REGISTRY, settings.Twilio]
    for group in groups:
        title = "Every process" if group is settings.Settings else group.__name__
        about = (inspect.getdoc(group) or "") if "__doc__" in vars(group) and group.__doc__ else ""
        prefix = str(group.model_config.get("env_prefix", ""))
        docs = _attribute_docs(group)
        rows = [
            (f"`{prefix}{name}`".upper(), _default(field), docs.get(name, ""))
            for name, field in group.model_fields.items()
        ]
        parts += [f"## {title}", about, _table(("variable", "default", ""), rows)]
    parts += [
        "## Temporal",
        " ".join((inspect.getdoc(settings.temporal_connection) or "").split()),
        (
            "The API and the worker need `TEMPORAL_ADDRESS`. Without it, `demo` and `dev` start a "
            "server of their own."
        ),
    ]
    return _joined(part for part in parts if part)


def _attribute_docs(group: type) -> dict[str, str]:
    """The strings below the attributes, which Python itself discards."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(group))).body
    assert isinstance(body, ast.ClassDef)
    comments: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(statement.target, ast.Name)
            assert isinstance(following.value, ast.Constant)
            comments[statement.target.id] = " ".join(str(following.value.value).split())
    return comments


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default_factory is not None:
        return "the installed version"
    match field.default:
        case None:
            return ""
        case timedelta() as span:
            return f"`{_iso(span)}`"
        case tuple() as several:
            return "<br>".join(f"`{value}`" for value in several)
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case value:
            return f"`{value}`"


def _iso(span: timedelta) -> str:
    """A duration in the form that the environment accepts (ISO 8601)."""
    for unit, seconds, prefix in (("D", 86400, "P"), ("H", 3600, "PT"), ("M", 60, "PT")):
        if span.total_seconds() % seconds == 0:
            return f"{prefix}{span // timedelta(seconds=seconds)}{unit}"
    return f"PT{span.total_seconds():g}S"


# The commands


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
        _table(
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
    return _joined(parts)


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
        parts.append(_table(("option", "", "default"), rows))
    for further, sub in getattr(command, "commands", {}).items():
        parts += _command(f"{name} {further}", sub)
    return parts


def _option_default(option: Any) -> str:
    if option.required:
        return "**required**"
    if option.is_flag or option.default is None:
        return ""
    return f"`{getattr(option.default, 'value', option.default)}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [
        head,
        ["---"] * len(head),
        *([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str]) -> int:
    old = stale()
    if "--check" in arguments:
        for path in old:
            sys.stderr.write(f"{path.name} is out of date: run python -m tools.reference\n")
        return 1 if old else 0
    for path in old:
        path.write_text(pages()[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
