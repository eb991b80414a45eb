"""The part of the OpenAPI document about what endpoints receive: one webhook for each type of event."""

from typing import Any

from domain.events.catalogue import CATALOGUE, Entry, EventType, Field, Kind

Json = dict[str, Any]
_SHAPES: dict[Kind, Json] = {
    Kind.TEXT: {"type": "string"},
    Kind.TEXTS: {"type": "array", "items": {"type": "string"}},
    Kind.NUMBER: {"type": "integer"},
    Kind.FLAG: {"type": "boolean"},
    Kind.TIME: {"type": "string", "format": "date-time"},
    Kind.MONEY: {"type": "string", "examples": ["12.50"]},
}


def webhooks() -> Json:
    return {type_.value: {"post": _operation(type_, entry)} for type_, entry in CATALOGUE.items()}


def _operation(type_: EventType, entry: Entry) -> Json:
    noun, _, verb = type_.value.partition(".")
    return {
        "operationId": f"on_{noun}_{verb}",
        "summary": type_.value,
        "description": f"{entry.about[0].upper()}{entry.about[1:]}.",
        "tags": ["events"],
        "security": [],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _payload(type_, entry)}},
        },
        "responses": {"2XX": {"description": "Received; it is not delivered again"}},
    }


def _payload(type_: EventType, entry: Entry) -> Json:
    properties: Json = {
        "id": {"type": "string", "description": "The same in every delivery."},
        "type": {"type": "string", "const": type_.value},
        "version": {"type": "integer", "description": "Of the data."},
        "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
        "organization_id": {"type": ["string", "null"]},
        "data": {
            "type": "object",
            "properties": {field.name: _shape(field) for field in entry.fields},
            "required": [field.name for field in entry.fields],
        },
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _shape(field: Field) -> Json:
    shape = _SHAPES[field.kind] | {"description": field.about}
    if field.optional:
        shape["type"] = [shape["type"], "null"]
    return shape
