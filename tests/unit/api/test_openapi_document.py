"""The OpenAPI document, from which clients are generated."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import (  # type: ignore[import-untyped]
    Draft202012Validator,
    FormatChecker,
)

from api.app import create_app
from api.http import examples
from domain.events.catalogue import EventType
from domain.outbound.payloads import payload

VERBS = {
    *("list", "get", "check", "explain", "preview"),
    *("create", "update", "set", "delete", "change", "upload", "send", "resend"),
    *("start", "pause", "resume", "cancel", "suspend", "reinstate", "close", "dismiss", "lift"),
    *("acknowledge", "test"),
    *("freeze", "unfreeze", "credit", "debit", "charge", "refund", "capture", "release"),
    *("rotate", "enable", "disable", "test", "redeliver", "replay"),
    *("collect", "link", "receive", "retry", "confirm"),
}
"""The first words of operation ids; a new one is added here."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app().openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_operation_id_is_unique(document: dict[str, Any]) -> None:
    ids = Counter(operation["operationId"] for _, _, operation in _operations(document))

    assert [id_ for id_, count in ids.items() if count > 1] == []


def test_every_operation_id_is_a_verb_and_a_noun(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        id_ = operation["operationId"]
        verb, _, noun = id_.partition("_")
        place = method, path, id_
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", noun), place
        assert verb in VERBS, place


def test_no_two_schemas_are_the_same(document: dict[str, Any]) -> None:
    by_shape: dict[str, list[str]] = {}
    for name, schema in document["components"]["schemas"].items():
        fields = {
            key: value for key, value in schema.items() if key not in ("description", "examples")
        }
        by_shape.setdefault(json.dumps(fields, sort_keys=True), []).append(name)

    assert [names for names in by_shape.values() if len(names) > 1] == []


def test_bodies_end_in_request_and_nothing_else_does(document: dict[str, Any]) -> None:
    bodies = json.dumps(
        [operation.get("requestBody", {}) for _, _, operation in _operations(document)]
    )
    names = set(re.findall(r'"#/components/schemas/(\w+)"', bodies))

    assert names == {name for name in document["components"]["schemas"] if name.endswith("Request")}


def test_a_repeated_creation_is_answered_like_the_first(document: dict[str, Any]) -> None:
    for _, path, operation in _operations(document):
        answers = operation["responses"]
        if "201" in answers:
            assert answers["200"]["content"], path


def test_every_schema_field_and_parameter_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    undescribed = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, shape in schema.get("properties", {}).items()
        if not shape.get("description") and "$ref" not in shape
    ]
    undescribed += [name for name, schema in schemas.items() if not schema.get("description")]
    undescribed += [
        f"{operation['operationId']}({parameter['name']})"
        for _, _, operation in _operations(document)
        for parameter in operation.get("parameters", ())
        if not parameter.get("description")
    ]

    assert undescribed == []


def test_every_request_and_the_main_answers_have_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    requests = {name for name in schemas if name.endswith("Request")}

    assert requests == examples.REQUESTS.keys()
    assert examples.ANSWERS.keys() <= schemas.keys()


@pytest.mark.parametrize("name", [*examples.REQUESTS, *examples.ANSWERS])
def test_examples_are_valid(document: dict[str, Any], name: str) -> None:
    schema = document["components"]["schemas"][name]
    validator = Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]},
        format_checker=FormatChecker(),
    )

    [example] = schema["examples"]

    assert [error.message for error in validator.iter_errors(example)] == []
    assert example.keys() <= schema["properties"].keys()
    if name in examples.ANSWERS and name != "Problem":
        assert example.keys() == schema["properties"].keys()


def test_bodies_and_responses_of_several_shapes_are_described_as_one_of(
    document: dict[str, Any],
) -> None:
    [debit] = [
        operation
        for _, _, operation in _operations(document)
        if operation["operationId"] == "debit_wallet"
    ]
    body = debit["requestBody"]["content"]["application/json"]["schema"]
    answer = debit["responses"]["200"]["content"]["application/json"]["schema"]
    outcomes = document["components"]["schemas"]["PostingOutcomes"]["properties"]["outcomes"]

    assert len(body["oneOf"]) == len(answer["oneOf"]) == 2
    assert debit["responses"]["201"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Entry"
    }
    assert outcomes["items"]["discriminator"]["mapping"] == {
        "booked": "#/components/schemas/BookedPosting",
        "replayed": "#/components/schemas/BookedPosting",
        "refused": "#/components/schemas/RefusedPosting",
    }


def test_every_type_of_event_is_described_as_a_webhook(document: dict[str, Any]) -> None:
    assert set(document["webhooks"]) == set(EventType)
    for type_, methods in document["webhooks"].items():
        body = methods["post"]["requestBody"]["content"]["application/json"]["schema"]
        sent = payload("evt_1", type_, datetime.now(UTC), None, {})
        assert set(json.loads(sent)) == set(body["properties"]), type_
        assert body["properties"]["type"]["const"] == type_
        assert set(json.loads(sent)["data"]) == set(body["properties"]["data"]["properties"])


def test_paths_are_in_kebab_case(document: dict[str, Any]) -> None:
    for path in document["paths"]:
        for segment in path.strip("/").split("/"):
            assert re.fullmatch(r"[a-z0-9-]+|{[a-z_]+}", segment), path
