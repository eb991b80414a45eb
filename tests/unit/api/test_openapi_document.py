"""The OpenAPI document: what a generated client is made of."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_app

VERBS = {
    *("list", "get", "check", "explain", "preview"),
    *("create", "update", "set", "delete", "change", "upload", "send", "resend"),
    *("start", "pause", "resume", "cancel", "suspend", "reinstate", "close", "dismiss", "lift"),
    *("freeze", "unfreeze", "credit", "debit", "charge", "refund", "capture", "release"),
    *("collect", "link", "receive"),
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
