"""Finishes the OpenAPI document that FastAPI makes: names of schemas, media types of problems, and
the answers to repeated requests.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from api.http.errors import MEDIA_TYPE

_REF = "#/components/schemas/"
_VERBS = ("get", "post", "put", "patch", "delete")
_ANSWERS = {"200": "Done", "201": "Created", "204": "Done; the answer has no body"}
_REPEATED = "The request was repeated: the same answer, and nothing was done again"
_RENAMED = {"Resumed": "ResumptionOutcome"}
"""Enumerations of the domain, which have no title of their own."""
Json = dict[str, Any]


def finish(document: Json) -> None:
    """Changes the document in place."""
    _name_schemas(document)
    for path, item in document["paths"].items():
        document["paths"][path] = {verb: item[verb] for verb in _VERBS if verb in item}
        for operation in item.values():
            operation.setdefault("security", [])
            _finish_answers(operation["responses"])


def _name_schemas(document: Json) -> None:
    """A schema has one name: its title, or that of its class without `Out`. No other title stays:
    FastAPI writes one at each field, and it says nothing that the field's name does not say.
    """
    schemas: Json = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    names = {name: _name(name, schema) for name, schema in schemas.items()}
    if len(set(names.values())) < len(names):
        raise ValueError(f"two schemas have the same name: {sorted(names.values())}")
    _walk(document["paths"], lambda node: _rename(node, names))
    _walk(schemas, lambda node: _rename(node, names))
    document["components"]["schemas"] = {names[name]: schemas[name] for name in schemas}


def _name(name: str, schema: Mapping[str, Any]) -> str:
    title = schema.get("title", name)
    return _RENAMED.get(name) or (str(title) if title != name else name.removesuffix("Out"))


def _rename(node: Json, names: Mapping[str, str]) -> None:
    if isinstance(node.get("title"), str):
        del node["title"]
    if isinstance(node.get("$ref"), str):
        node["$ref"] = _REF + names[node["$ref"].removeprefix(_REF)]
    mapping = node.get("discriminator", {}).get("mapping", {})
    for value, target in mapping.items():
        mapping[value] = _REF + names[target.removeprefix(_REF)]


def _walk(node: object, change: Callable[[Json], None]) -> None:
    if isinstance(node, dict):
        change(node)
        for key, value in node.items():
            if key not in ("examples", "example"):
                _walk(value, change)
    elif isinstance(node, list):
        for item in node:
            _walk(item, change)


def _finish_answers(answers: Json) -> None:
    if "201" in answers:
        repeated = answers.setdefault("200", {"description": _REPEATED})
        repeated.setdefault("content", deepcopy(answers["201"].get("content", {})))
    for status, answer in answers.items():
        content = answer.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("$ref") == f"{_REF}Problem":
            answer["content"] = {MEDIA_TYPE: content["application/json"]}
        elif answer["description"] == "Successful Response":
            answer["description"] = _ANSWERS[status]
    for status in sorted(answers):
        answers[status] = answers.pop(status)
