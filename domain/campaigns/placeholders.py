"""Finds placeholders in a text. There are no templates, so a placeholder would be sent literally.
Pure.
"""

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
    """The first placeholder in the text, in the syntax of the common tools."""
    match = _PLACEHOLDER.search(text)
    return None if match is None else match.group()
