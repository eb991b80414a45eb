"""Finishes the OpenAPI document that FastAPI makes: names of schemas, media types of problems, and
the answers to repeated requests.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from api.http import examples
from api.http.errors import MEDIA_TYPE

_REF = "#/components/schemas/"
_VERBS = ("get", "post", "put", "patch", "delete")
_ANSWERS = {"200": "Done", "201": "Created", "204": "Done; the answer has no body"}
_REPEATED = "The request was repeated: the same answer, and nothing was done again"
_ENUMERATIONS = {
    "TopUpStatus": ("TopUpStatus", "The status of a top-up."),
    "EntryKind": ("EntryKind", "The kind of a ledger entry."),
    "ShownStatus": ("MessageStatus", "The status of a message."),
    "Block": ("BlockKind", "Why an organization may not send."),
    "Status": ("StandingStatus", "Whether an organization may send."),
    "EventType": ("EventType", "What an event tells."),
    "InboxStatus": ("InboundDeliveryStatus", "How far a webhook delivery is handled."),
    "BulkKind": ("BulkActKind", "An act over many organizations."),
    "TargetStatus": ("BulkActTargetStatus", "What became of one organization of such an act."),
    "Encoding": ("Encoding", "The encoding of a message, which decides how many segments it has."),
    "HoldStatus": ("HoldStatus", "The status of a hold."),
    "Provider": ("Provider", "A billing provider."),
    "Resumed": ("ResumptionOutcome", "The result of resuming a subscription."),
    "Order": ("OrganizationOrder", "The order of a list of organizations."),
    "WhenEmpty": ("WhenEmpty", "What an empty wallet leads to."),
    "CostKind": ("RecurringCostKind", "What kind of thing costs it."),
    "ReleaseStep": ("ReleaseStep", "A step by which a suspended subaccount costs less."),
    "SwitchStatus": ("SwitchStatus", "The status of a switch to another provider."),
}
"""Names and descriptions of enumerations that the domain does not describe for callers."""
_HEADERS = {
    "Request-Id": ("X-Request-Id", "The id of the request: the caller's, or a new one."),
    "Retry-After": ("Retry-After", "After how many seconds to try again."),
    "Www-Authenticate": ("WWW-Authenticate", "What is wrong with the API key (RFC 6750)."),
}
_HEADERS_OF = {"401": ("Www-Authenticate",), "403": ("Www-Authenticate",), "503": ("Retry-After",)}
Json = dict[str, Any]


def finish(document: Json) -> None:
    """Changes the document in place."""
    _name_schemas(document)
    document["components"]["headers"] = {
        name: {"description": description, "schema": {"type": "string"}}
        for name, (_, description) in _HEADERS.items()
    }
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
    for name, schema in schemas.items():
        if name in _ENUMERATIONS:
            schema["description"] = _ENUMERATIONS[name][1]
        elif name.endswith("Page"):
            schema["description"] = "One page of a list."
    shown = examples.REQUESTS | examples.ANSWERS
    for name, schema in schemas.items():
        if names[name] in shown:
            schema["examples"] = [shown[names[name]]]
    document["components"]["schemas"] = {names[name]: schemas[name] for name in schemas}


def _name(name: str, schema: Mapping[str, Any]) -> str:
    title = schema.get("title", name)
    if name in _ENUMERATIONS:
        return _ENUMERATIONS[name][0]
    return str(title) if title != name else name.removesuffix("Out")


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
        headers = ("Request-Id", *_HEADERS_OF.get(status, ()))
        answer.setdefault("headers", {}).update(
            {_HEADERS[name][0]: {"$ref": f"#/components/headers/{name}"} for name in headers}
        )
        content = answer.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("$ref") == f"{_REF}Problem":
            answer["content"] = {MEDIA_TYPE: content["application/json"]}
        elif answer["description"] == "Successful Response":
            answer["description"] = _ANSWERS[status]
        if "anyOf" in schema:  # answers that differ by their required fields
            schema["oneOf"] = schema.pop("anyOf")
    for status in sorted(answers):
        answers[status] = answers.pop(status)
