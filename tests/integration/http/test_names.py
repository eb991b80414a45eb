"""Every schema of the API uses one word for one thing."""

from collections.abc import Iterator
from typing import Any

from api.app import create_app

SPANS = {"as_of", "since", "until", "access_until", "paid_until", "past_due_since", "deadline"}
"""Names that show by themselves that they are times of a beginning or an end."""
POINTS = {"at", "begins", "ends"}
"""Names of body fields that show by themselves what happens at that time."""
TEXTS = {
    "Message": "what Twilio said of a message, which cannot be the message",
    "FoundMessage": "the same of a message that was found",
    "RefusedPosting": "a problem document",
}


def _fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, schema in create_app().openapi()["components"]["schemas"].items():
        for field, shape in schema.get("properties", {}).items():
            yield name, field, shape


def _forms(shape: dict[str, Any]) -> list[dict[str, Any]]:
    return [shape, *shape.get("anyOf", ())]


def test_every_state_field_is_called_status() -> None:
    assert [(name, field) for name, field, _ in _fields() if "state" in field.split("_")] == []
    for path, methods in create_app().openapi()["paths"].items():
        for operation in methods.values():
            names = [parameter["name"] for parameter in operation.get("parameters", ())]
            assert "state" not in names, path


def test_human_text_is_a_message() -> None:
    texts = [(name, field) for name, field, _ in _fields() if field in ("text", "problem")]

    assert [(name, field) for name, field in texts if name not in TEXTS] == []


def test_times_end_in_at() -> None:
    for name, field, shape in _fields():
        if any(form.get("format") in ("date-time", "time") for form in _forms(shape)):
            assert field.endswith("_at") or field in SPANS | POINTS, (name, field)


def test_only_times_end_in_at() -> None:
    for name, field, shape in _fields():
        if field.endswith("_at"):
            assert any(form.get("format") == "date-time" for form in _forms(shape)), (name, field)


def test_durations_end_in_seconds() -> None:
    for name, field, _ in _fields():
        words = field.split("_")
        if {"seconds", "period", "duration", "grace", "wait", "timeout"} & set(words):
            assert words[-1] == "seconds", (name, field)
