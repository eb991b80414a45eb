"""Reads single fields of PayPal's JSON leniently: what is not there or not readable is None, never an exception.

Genuinely signed events carry month 19, missing fields and two shapes of money (PayPal's webhook simulator; v1 writes
`{total|value, currency}`, v2 `{value, currency_code}`).
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from domain import money
from domain.money import BadAmount, Money

Json = Mapping[str, Any]
_LONGEST = 255
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # Postgres takes neither in text
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d.*", re.ASCII)


class NotJson(ValueError):
    """It is not, or not one object."""


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
    if not isinstance(value, str) or not value or len(value) > _LONGEST or _UNSTORABLE.search(value):
        return None
    return value


def token(parent: Json, name: str) -> str | None:
    """Printable ASCII of any length: an access token may have thousands of characters."""
    value = parent.get(name)
    return value if isinstance(value, str) and value.isascii() and value.isprintable() and value else None


def count(parent: Json, name: str) -> int:
    value = parent.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else 0


def time(parent: Json, name: str) -> datetime | None:
    value = text(parent, name)
    if value is None or not _TIME.fullmatch(value):
        return None
    try:
        told = datetime.fromisoformat(value)
        return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def amount(parent: Json, name: str) -> Money | None:
    """Never negative: the simulator signs refunds with a minus, real refunds come without."""
    shape = part(parent, name)
    value = text(shape, "value") or text(shape, "total")
    currency = text(shape, "currency_code") or text(shape, "currency")
    if value is None or currency is None:
        return None
    try:
        return Money(abs(money.parse_micros(value)), currency.upper())
    except BadAmount:
        return None


def link(parent: Json, rel: str) -> str | None:
    for candidate in parts(parent, "links"):
        if candidate.get("rel") == rel and isinstance(candidate.get("href"), str):
            return str(candidate["href"])
    return None
