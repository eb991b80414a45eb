"""Reads Stripe's request bodies: forms whose names nest in brackets, `items[0][price]=price_1`."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

_PART = re.compile(r"\[([^\]]*)\]")


def pairs(text: str) -> Iterator[tuple[list[str], str]]:
    """Each name as its parts, with its value."""
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, _, rest = name.partition("[")
        yield [first, *_PART.findall("[" + rest if rest else "")], value


def nested(text: str) -> dict[str, Any]:
    """Lists become objects with their indexes as names."""
    read: dict[str, Any] = {}
    for path, value in pairs(text):
        holder = read
        for each in path[:-1]:
            holder = holder.setdefault(each, {})
        holder[path[-1] or str(len(holder))] = value
    return read
