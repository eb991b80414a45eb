"""Writes docs/reference from the code: API, settings, commands, the lifecycle's tables, alerts, events,
the guarantees' checks, and the table of modules in CONTRIBUTING.md.

`python -m tools.reference` writes, `python -m tools.reference --check` fails where a page is out of
date.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from api.app import ROUTES, create_app
from api.http import auth, errors
from db.audit.certify import CHECKS, GUARANTEES
from tools import alert_tables, event_pages, failures, lifecycle, rooms
from tools.command_page import cli
from tools.settings_page import settings_page
from tools.tables import GENERATED, joined, table

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
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
        REFERENCE / "events.md": event_pages.events(),
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
        parts += [f"## Operations: {tag['name']}", tag["description"]]
        for path, methods in schema["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    parts += _operation(method.upper(), path, operation)
    parts += ["## Errors", _errors(), "## Schemas", "Of the bodies of requests and answers."]
    for name, shape in sorted(schemas.items(), key=lambda item: _title(item[0], item[1])):
        parts += _schema(name, shape, schemas)
    return joined(parts)


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
        parts.append(table(("parameter", "in", "type", ""), rows))
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
        parts.append(table(("field", "type", ""), rows))
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
    return table(("status", "code", "title"), rows)


# The settings


# The commands


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
