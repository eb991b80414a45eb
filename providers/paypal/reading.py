"""Reads single fields of PayPal's JSON leniently: a missing or unreadable field is None, never an
exception.

Genuinely signed events contain month 19, missing fields and two money formats (PayPal's webhook
simulator; v1 writes `{total|value, currency}`, v2 `{value, currency_code}`).
"""

import re
from datetime import UTC, datetime

from domain import money
from domain.money import BadAmount, Money
from providers.reading import Json, NotJson, count, document, part, parts, text, token

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d.*", re.ASCII)
__all__ = [
    "Json",
    "NotJson",
    "amount",
    "count",
    "document",
    "link",
    "part",
    "parts",
    "text",
    "time",
    "token",
]


def time(parent: Json, name: str) -> datetime | None:
    value = text(parent, name)
    if value is None or not _TIME.fullmatch(value):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def amount(parent: Json, name: str) -> Money | None:
    """Never negative: the simulator writes refunds with a minus sign, PayPal without."""
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
