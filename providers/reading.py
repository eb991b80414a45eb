"""Reads single fields of a provider's JSON leniently: a missing or unreadable field is None, never
an exception.
"""

import json
from collections.abc import Mapping
from typing import Any

from domain.plain_text import is_plain, is_printable_ascii

Json = Mapping[str, Any]
_LONGEST = 255


class NotJson(ValueError):
    """Not JSON, or not a single object."""


def document(raw: bytes) -> Json:
    """The JSON object in `raw`; raises `NotJson` for anything else, however deep or large."""
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise NotJson(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise NotJson("not a JSON object")
    return value


def part(parent: Json, name: str) -> Json:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def parts(parent: Json, name: str) -> list[Json]:
    value = parent.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(parent: Json, name: str) -> str | None:
    value = parent.get(name)
    if not isinstance(value, str) or not value or len(value) > _LONGEST or not is_plain(value):
        return None
    return value


def token(parent: Json, name: str) -> str | None:
    """Printable ASCII of any length: an access token may have thousands of characters."""
    value = parent.get(name)
    return value if isinstance(value, str) and value and is_printable_ascii(value) else None


def count(parent: Json, name: str) -> int:
    value = parent.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
        else 0
    )
