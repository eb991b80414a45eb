"""Placeholders in a text: there are no templates, so one would arrive as it stands. Pure."""

import re

_FORMS = (
    r"\{\{.*?\}\}",
    r"\{%.*?%\}",
    r"[$#]\{.*?\}",
    r"<%.*?%>",
    r"\*\|.*?\|\*",
    r"\[\[.*?\]\]",
    r"\{[A-Za-z_][A-Za-z0-9_. -]{0,40}\}",
    r"(?<!\w)%[A-Za-z_]\w*%(?!\w)",
)
_PLACEHOLDER = re.compile("|".join(_FORMS), re.DOTALL)


def find(text: str) -> str | None:
    """The first thing in it that a template would replace, as the common tools write them."""
    match = _PLACEHOLDER.search(text)
    return None if match is None else match.group()
